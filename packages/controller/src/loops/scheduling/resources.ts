import { parseQuantity, quantityToNumber } from '@podwire/kube/quantity';
import type { Container, Node, PodSpec } from '../objects.ts';

/** Amounts by resource name; cpu in cores, the rest in its own unit. Sums are rounded to nano units, so that they can be undone. */
export type Amounts = Map<string, number>;

/**
 * What a pod needs at most at one time: its containers together, or one of its init containers beside the sidecars started
 * before it, and its overhead (component-helpers/resource).
 */
export function podRequests(spec: PodSpec): Amounts {
  const total: Amounts = new Map();
  for (const container of spec.containers) add(total, requestsOf(container));
  const sidecars: Amounts = new Map();
  const initPeak: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const own = requestsOf(container);
    if (container.restartPolicy === 'Always') {
      add(total, own);
      add(sidecars, own);
      raise(initPeak, sidecars);
    } else {
      add(own, sidecars);
      raise(initPeak, own);
    }
  }
  raise(total, initPeak);
  add(total, parseAmounts(spec.overhead));
  return total;
}

/** The same with 100m of CPU and 200 MB of memory for a container that asks for none: what spreading counts. */
export function podRequestsForScoring(spec: PodSpec): { cpu: number; memory: number } {
  let cpu = 0;
  let memory = 0;
  for (const container of spec.containers) {
    const own = requestsOf(container);
    cpu += own.get('cpu') || 0.1;
    memory += own.get('memory') || 200 * 1024 * 1024;
  }
  return { cpu, memory };
}

export function allocatableOf(node: Node): Amounts {
  return parseAmounts(node.status?.allocatable ?? node.status?.capacity);
}

function requestsOf(container: Container): Amounts {
  return parseAmounts(container.resources?.requests);
}

function parseAmounts(quantities: Record<string, string> | undefined): Amounts {
  const amounts: Amounts = new Map();
  for (const [name, text] of Object.entries(quantities ?? {})) {
    const quantity = parseQuantity(String(text));
    if (quantity !== undefined) amounts.set(name, quantityToNumber(quantity));
  }
  return amounts;
}

export function add(target: Amounts, amounts: Amounts, sign: 1 | -1 = 1): void {
  for (const [name, amount] of amounts) {
    target.set(name, Math.round(((target.get(name) ?? 0) + sign * amount) * 1e9) / 1e9);
  }
}

function raise(target: Amounts, amounts: Amounts): void {
  for (const [name, amount] of amounts) target.set(name, Math.max(target.get(name) ?? 0, amount));
}
