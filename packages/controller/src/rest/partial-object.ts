import type { KubeObject } from '@podwire/kube/object';

/** The PartialObjectMetadata of an object: its metadata and nothing else. */
export function metadataOnly(object: KubeObject, version: string): KubeObject {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}
