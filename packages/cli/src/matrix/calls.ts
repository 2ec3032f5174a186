import type { PodObject } from '../kube-types.ts';

/** One arrow of a call graph: an environment variable of a pod that names somebody to call. */
export interface Call {
  variable: string;
  host: string;
  port: number;
}

const ADDRESS = /^(?:[a-z]+:\/\/)?([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?):(\d{1,5})(?:\/.*)?$/i;

/**
 * The upstreams a pod's environment names, e.g. `CART_SERVICE_ADDR=cartservice:7070`. The variables that
 * Kubernetes itself adds are not in the spec and so are not counted.
 */
export function callsOf(pod: PodObject): Call[] {
  const calls = new Map<string, Call>();
  for (const container of pod.spec.containers) {
    for (const { name, value } of container.env ?? []) {
      const match = value === undefined ? null : ADDRESS.exec(value);
      if (!match || !/[a-z]/i.test(match[1]!)) continue;
      const port = Number(match[2]);
      if (port < 1 || port > 65535) continue;
      const key = `${match[1]}:${port}`;
      if (!calls.has(key)) calls.set(key, { variable: name, host: match[1]!, port });
    }
  }
  return [...calls.values()];
}

/** `frontend` for `frontend-6d5f8b9c7d-abcde` and `db-0` for `db-0`: how people call a pod's workload. */
export function workloadName(pod: PodObject): string {
  const hash = pod.metadata.labels?.['pod-template-hash'];
  const name = pod.metadata.name;
  const at = hash ? name.lastIndexOf(`-${hash}-`) : -1;
  return at > 0 ? name.slice(0, at) : name;
}
