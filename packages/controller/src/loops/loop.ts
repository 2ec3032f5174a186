import { jsonEquals } from '@podwire/kube/object';
import type { Api } from '../api.ts';
import type { Clock } from './clock.ts';
import { createEventRecorder, type EventRecorder } from './events.ts';
import type { Log } from './log.ts';
import type { AnyObject } from './objects.ts';
import { WorkQueue } from './work-queue.ts';

/** What every controller is given. */
export interface LoopContext {
  api: Api;
  clock: Clock;
  log: Log;
}

/** A running controller. */
export interface Loop {
  stop(): void;
}

export function startQueue(
  context: LoopContext,
  name: string,
  reconcile: (key: string) => Promise<number | undefined>,
): WorkQueue {
  return new WorkQueue({ name, reconcile, clock: context.clock, log: context.log });
}

export function recorderFor(context: LoopContext, component: string): EventRecorder {
  return createEventRecorder({ ...context, component });
}

/** One loop made of a queue and its watches. */
export function loopOf(...parts: (Loop | (() => void))[]): Loop {
  return {
    stop() {
      for (const part of parts) typeof part === 'function' ? part() : part.stop();
    },
  };
}

/** Writes a status if it differs from the stored one; gives the newest object either way. */
export async function writeStatus<T extends AnyObject & { status?: object }>(
  api: Api,
  resource: string,
  object: T,
  status: T['status'],
): Promise<T> {
  if (jsonEquals(object.status ?? {}, status)) return object;
  return api.update(resource, { ...object, status }, { subresource: 'status' });
}
