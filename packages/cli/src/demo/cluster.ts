import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import type { ApiClient } from '../api-client.ts';
import { Complaint } from '../complaint.ts';
import { isReady, type List, type ObjectMeta, type PodObject, type ServiceObject } from '../kube-types.ts';
import { sleep } from '../lab-lifecycle.ts';

interface Manifest {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

const PLURALS: Record<string, string> = {
  Deployment: 'deployments',
  Service: 'services',
  StatefulSet: 'statefulsets',
  Pod: 'pods',
};

/** Applies a manifest file by server-side apply, as `kubectl apply --server-side -f` does. */
export async function applyFile(api: ApiClient, path: string): Promise<Manifest[]> {
  const manifests = parseAllDocuments(readFileSync(path, 'utf8')).map(
    (document) => document.toJSON() as Manifest,
  );
  for (const manifest of manifests) {
    const { apiVersion, kind, metadata } = manifest;
    const base = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const url = `${base}/namespaces/${metadata.namespace ?? 'default'}/${PLURALS[kind]}/${metadata.name}?fieldManager=podwire&force=true`;
    await api.json('PATCH', url, manifest, 'application/apply-patch+yaml');
  }
  return manifests;
}

export async function podsOf(api: ApiClient, selector: string): Promise<PodObject[]> {
  const list = await api.get<List<PodObject>>(
    `/api/v1/namespaces/default/pods?labelSelector=${encodeURIComponent(selector)}`,
  );
  return list.items
    .filter((pod) => !pod.metadata.deletionTimestamp)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

export function service(api: ApiClient, name: string): Promise<ServiceObject> {
  return api.get<ServiceObject>(`/api/v1/namespaces/default/services/${name}`);
}

/** Waits until `count` pods of a selector are Ready; throws a Complaint that tells what they are instead. */
export async function waitForReady(
  api: ApiClient,
  selector: string,
  count: number,
  timeoutMs = 30_000,
): Promise<PodObject[]> {
  return waitFor(`${count} Ready pods of ${selector}`, timeoutMs, async () => {
    const pods = await podsOf(api, selector);
    return pods.length === count && pods.every(isReady) ? pods : undefined;
  });
}

/** Asks again until there is an answer. */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  ask: () => Promise<T | undefined>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline)
      throw new Complaint(`Waited ${timeoutMs / 1000} s in vain for ${what}; see "podwire status"`);
    await sleep(25);
  }
}
