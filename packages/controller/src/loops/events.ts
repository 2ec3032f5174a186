import { formatTime } from '@podwire/kube/object';
import type { Api } from '../api.ts';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import type { AnyObject, ObjectReference } from './objects.ts';

/** What an Event is about: any object, or a reference to one that has no metadata of its own any more. */
export type Involved = Pick<AnyObject, 'apiVersion' | 'kind'> & {
  metadata: { name: string; namespace?: string; uid: string; resourceVersion?: string };
};

export interface EventRecorder {
  /** Tells people what a controller did or could not do. Repeats raise the count of the first Event. Never fails or waits. */
  record(involved: Involved, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

interface KnownEvent {
  namespace: string;
  name: string;
  count: number;
}

const MOST_REMEMBERED = 4096;
const LONGEST_MESSAGE = 1024;

/** One recorder per component ('replicaset-controller'), as in client-go's tools/record. */
export function createEventRecorder(options: {
  api: Api;
  clock: Clock;
  log: Log;
  component: string;
}): EventRecorder {
  const { api, clock, log, component } = options;
  const known = new Map<string, Promise<KnownEvent | undefined>>();

  async function create(involved: Involved, type: string, reason: string, message: string) {
    const nowMs = clock.nowMs();
    // Events of objects outside namespaces live in "default".
    const namespace = involved.metadata.namespace || 'default';
    const suffix = (BigInt(Math.floor(nowMs)) * 1_000_000n + BigInt(clock.random32() % 1_000_000)).toString(
      16,
    );
    const name = `${involved.metadata.name}.${suffix}`;
    const time = formatTime(nowMs);
    await api.create('events', {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: referenceTo(involved),
      type,
      reason,
      message,
      source: { component },
      reportingComponent: component,
      reportingInstance: '',
      firstTimestamp: time,
      lastTimestamp: time,
      eventTime: null,
      count: 1,
    });
    return { namespace, name, count: 1 };
  }

  async function repeat(event: KnownEvent): Promise<KnownEvent> {
    event.count++;
    const patch = { count: event.count, lastTimestamp: formatTime(clock.nowMs()) };
    await api.patch('events', event.namespace, event.name, patch);
    return event;
  }

  return {
    record(involved, type, reason, message) {
      const text =
        message.length > LONGEST_MESSAGE
          ? `${message.slice(0, LONGEST_MESSAGE - 14)}... [truncated]`
          : message;
      const key = JSON.stringify([
        involved.kind,
        involved.metadata.namespace,
        involved.metadata.name,
        involved.metadata.uid,
        type,
        reason,
        text,
      ]);
      const before = known.get(key);
      known.delete(key);
      const next = (async () => {
        try {
          const event = await before;
          if (event !== undefined && api.get('events', event.namespace, event.name) !== undefined) {
            return await repeat(event);
          }
          return await create(involved, type, reason, text);
        } catch (error) {
          // An Event lost with its namespace, or for any other cause, holds nobody up.
          log.debug({ component, reason, err: error }, 'event not recorded');
          return undefined;
        }
      })();
      known.set(key, next);
      if (known.size > MOST_REMEMBERED) known.delete(known.keys().next().value!);
    },
  };
}

function referenceTo(involved: Involved): ObjectReference {
  const { apiVersion, kind, metadata } = involved;
  return {
    apiVersion,
    kind,
    ...(metadata.namespace ? { namespace: metadata.namespace } : {}),
    name: metadata.name,
    uid: metadata.uid,
    ...(metadata.resourceVersion ? { resourceVersion: metadata.resourceVersion } : {}),
  };
}
