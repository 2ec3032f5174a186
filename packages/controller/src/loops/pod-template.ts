import { controllerRef } from './controller-ref.ts';
import type { AnyObject, Draft, Pod, PodTemplate } from './objects.ts';

export const POD_TEMPLATE_HASH = 'pod-template-hash';

/** A pod as a controller's template asks for it, owned by the controller; its name is generated from the owner's. */
export function podFromTemplate(template: PodTemplate, owner: AnyObject): Draft<Pod> {
  const metadata = template.metadata;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      generateName: `${owner.metadata.name}-`,
      namespace: owner.metadata.namespace,
      labels: { ...metadata?.labels },
      annotations: { ...metadata?.annotations },
      ...(Array.isArray(metadata?.finalizers) ? { finalizers: [...metadata.finalizers] } : {}),
      ownerReferences: [controllerRef(owner)],
    },
    spec: structuredClone(template.spec),
  };
}

/**
 * The short name of a template that ReplicaSets, StatefulSets and DaemonSets tell revisions apart by. Upstream hashes a Go
 * structure, so the text differs from a real cluster's for the same template; its alphabet and length are the same.
 */
export function hashTemplate(template: unknown, collisionCount = 0): string {
  const hash = fnv32a(canonicalJson(template) + (collisionCount > 0 ? String(collisionCount) : ''));
  return safeEncode(String(hash));
}

/** Whether two templates ask for the same pods; the hash label that a ReplicaSet adds does not count. */
export function sameTemplate(a: PodTemplate, b: PodTemplate): boolean {
  return canonicalJson(withoutHash(a)) === canonicalJson(withoutHash(b));
}

function withoutHash(template: PodTemplate): PodTemplate {
  const { [POD_TEMPLATE_HASH]: _, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

/** JSON with sorted keys and without nulls, which mean the same as absence. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    const entries = Object.entries(inner).filter(([, each]) => each !== null && each !== undefined);
    return Object.fromEntries(entries.sort(([x], [y]) => (x < y ? -1 : 1)));
  });
}

// FNV-1a, 32 bits (RFC 9923).
function fnv32a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

// No vowels, so that no hash spells a word (apimachinery util/rand).
const SAFE_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

function safeEncode(text: string): string {
  let encoded = '';
  for (let i = 0; i < text.length; i++) {
    encoded += SAFE_ALPHABET[text.charCodeAt(i) % SAFE_ALPHABET.length];
  }
  return encoded;
}
