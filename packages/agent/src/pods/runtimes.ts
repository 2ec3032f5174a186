/**
 * Chooses what runs a pod. The choices are loaded when a first pod needs them: a node without pods starts sooner.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Pipeline } from '@podwire/dataplane/pipeline';
import type { Pod } from 'kubernetes-types/core/v1.js';
import type { PodLinks } from '../cni/attach.ts';
import type { SyncAccess } from '../external.ts';
import type { PodContext } from './pod-context.ts';
import type { PodRuntime } from './pod-runtime.ts';

export interface RuntimeParts {
  readonly context: PodContext;
  readonly links: PodLinks;
  readonly pipeline: Pipeline;
  /** Where sockets of external pods are made. */
  readonly socketDirectory: string;
  readonly sync: SyncAccess;
}

/** Little memory for what is short-lived: a DNS server has little of it. */
const PROGRAM_FLAGS = ['--max-semi-space-size=2'];

/** Programs that run as external pods, by image without its tag. */
const PROGRAMS: Readonly<Record<string, string>> = {
  'podwire/coredns': '../../../coredns/src/main.ts',
};

/** Puts a pod on the network. Rejects when the node has no address left, or the pod asks for what is not there. */
export async function createRuntime(pod: Pod, parts: RuntimeParts): Promise<PodRuntime> {
  const { context, links, pipeline } = parts;
  const runtimeClass = pod.spec?.runtimeClassName ?? '';
  if (!['', 'embedded', 'external'].includes(runtimeClass)) {
    throw new Error(`runtimeClassName "${runtimeClass}" is not supported; use embedded or external`);
  }
  const { name, namespace, uid } = pod.metadata!;
  const attach = () => links.attach({ uid: uid!, namespace: namespace!, name: name! });
  if (runtimeClass === 'external' || usesProgram(pod)) {
    const { externalRuntime } = await import('../external.ts');
    const { socketDirectory: directory, sync } = parts;
    return externalRuntime(context, pod, attach(), { directory, program: commandOf, sync });
  }
  const { builtInRuntime, embeddedRuntime } = await import('./sandbox.ts');
  if (pod.spec?.hostNetwork === true) {
    return builtInRuntime({
      context,
      pod,
      podIPs: context.nodeAddresses,
      stack: context.hostStack.stack,
      mac: context.hostStack.mac,
      close: () => {},
    });
  }
  const attachment = attach();
  // It translates nothing while the node runs another mode, so that a node can change its mode under its pods.
  const { createSocketLb } = await import('@podwire/dataplane/socket-lb');
  const { nowMs, random32 } = context;
  const lb = createSocketLb({ pipeline, nowMs, random32, netnsCookie: attachment.id });
  return embeddedRuntime(context, pod, attachment, lb);
}

function usesProgram(pod: Pod): boolean {
  return (pod.spec?.containers ?? []).some(({ image }) => programOf(image ?? '') !== undefined);
}

function programOf(image: string): string | undefined {
  return PROGRAMS[image.replace(/@.*$/, '').replace(/:[^/:]*$/, '')];
}

/** The command line after the Node binary: a known image, or the path of a TypeScript or JavaScript program. */
function commandOf(image: string): string[] | undefined {
  const program = programOf(image);
  if (program !== undefined) return [...PROGRAM_FLAGS, fileURLToPath(new URL(program, import.meta.url))];
  return /\.[cm]?[jt]s$/.test(image) && existsSync(image) ? [image] : undefined;
}
