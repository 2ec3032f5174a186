import type { KubeObject, ListMeta } from '@podwire/kube/object';
import { encodedJson } from '@podwire/store/stored-object';
import type { ResourceType } from '../registry/resource-types.ts';
import { type ListPage, listJson } from './list.ts';
import type { Representation } from './negotiation.ts';
import { metadataOnly } from './partial-object.ts';
import type { IncludeObject } from './table.ts';

/** An object as the request wants to see it. */
export function representObject(
  type: ResourceType,
  object: KubeObject,
  representation: Representation,
  includeObject: IncludeObject,
  nowMs: number,
): string {
  const { as, version = 'v1', table } = representation;
  if (table !== undefined) {
    const { resourceVersion } = object.metadata;
    const metadata = resourceVersion === undefined ? {} : { resourceVersion };
    return JSON.stringify(table(type, [object], metadata, version, includeObject, nowMs));
  }
  if (as === 'PartialObjectMetadata') return JSON.stringify(metadataOnly(object, version));
  return encodedJson(object);
}

/** A list as the request wants to see it. */
export function representList(
  type: ResourceType,
  page: ListPage,
  representation: Representation,
  includeObject: IncludeObject,
  nowMs: number,
): string {
  const { as, version = 'v1', table } = representation;
  if (table !== undefined) {
    return JSON.stringify(table(type, page.objects, page.metadata, version, includeObject, nowMs));
  }
  if (as === 'PartialObjectMetadataList') {
    return JSON.stringify({
      kind: 'PartialObjectMetadataList',
      apiVersion: `meta.k8s.io/${version}`,
      metadata: page.metadata satisfies ListMeta,
      items: page.objects.map((each) => metadataOnly(each, version)),
    });
  }
  return listJson(type, page);
}
