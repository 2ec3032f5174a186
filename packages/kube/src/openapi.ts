import { createHash } from 'node:crypto';
import { findMessage } from './descriptor.ts';
import { isJsonObject } from './object.ts';
import { customResourcePaths, type OpenApiPath, resourcePaths } from './openapi-paths.ts';
import { apiVersionOf, RESOURCES, type ResourceInfo, subresourceInfo } from './resources.ts';
import {
  API_VERSION_DESCRIPTION,
  componentName,
  componentOfKind,
  componentSchema,
  customResourceSchema,
  KIND_DESCRIPTION,
  messageNameOf,
  refTarget,
  type Schema,
  schemaRevision,
} from './schema.ts';
import { describeType } from './schema-descriptions.ts';

/**
 * OpenAPI v3 as the API server serves it: an index at `/openapi/v3` and one document for each group version.
 * `kubectl explain`, `apply`, `diff` and schema-aware editors read them.
 */
export interface OpenApiIndex {
  paths: Record<string, { serverRelativeURL: string }>;
}

export interface OpenApiDocument {
  openapi: '3.0.0';
  info: { title: string; version: string };
  paths: Record<string, OpenApiPath>;
  components: { schemas: Record<string, unknown> };
}

/** A stored CustomResourceDefinition. */
type Crd = Readonly<Record<string, unknown>>;

/** Key of a group version in the index: `api/v1`, `apis/apps/v1`. */
function indexKey(groupVersion: string): string {
  return groupVersion.includes('/') ? `apis/${groupVersion}` : `api/${groupVersion}`;
}

interface CrdNames {
  group: string;
  kind: string;
  listKind: string;
  plural: string;
  singular: string;
  namespaced: boolean;
}

function crdNames(crd: Crd): CrdNames | undefined {
  const spec = crd.spec;
  if (!isJsonObject(spec) || !isJsonObject(spec.names)) return undefined;
  const { kind, plural, singular, listKind } = spec.names as Record<string, string>;
  if (typeof spec.group !== 'string' || !kind || !plural) return undefined;
  return {
    group: spec.group,
    kind,
    listKind: listKind ?? `${kind}List`,
    plural,
    singular: singular ?? kind.toLowerCase(),
    namespaced: spec.scope !== 'Cluster',
  };
}

function crdVersions(crd: Crd): Record<string, unknown>[] {
  const versions = isJsonObject(crd.spec) ? crd.spec.versions : undefined;
  return Array.isArray(versions)
    ? versions.filter((version) => isJsonObject(version) && version.served !== false)
    : [];
}

function crdsOfGroupVersion(groupVersion: string, crds: readonly Crd[]): Crd[] {
  return crds.filter((crd) => {
    const group = isJsonObject(crd.spec) ? crd.spec.group : undefined;
    return crdVersions(crd).some((version) => `${group}/${version.name}` === groupVersion);
  });
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').toUpperCase().slice(0, 32);
}

/**
 * The index of all group versions. URLs carry a hash of what the document says, for clients that cache by URL; it is
 * made without building the documents.
 */
export function openApiV3Index(crds: readonly Crd[] = []): OpenApiIndex {
  const paths: OpenApiIndex['paths'] = {};
  const groupVersions = new Set(RESOURCES.map(apiVersionOf));
  for (const crd of crds) {
    for (const version of crdVersions(crd)) {
      groupVersions.add(`${(crd.spec as Record<string, unknown>).group}/${version.name}`);
    }
  }
  for (const groupVersion of [...groupVersions].sort()) {
    const own = crdsOfGroupVersion(groupVersion, crds).map((crd) => crd.spec);
    const hash = shortHash(`${schemaRevision()} ${groupVersion} ${JSON.stringify(own)}`);
    const key = indexKey(groupVersion);
    paths[key] = { serverRelativeURL: `/openapi/v3/${key}?hash=${hash}` };
  }
  return { paths };
}

/** A reference with members beside it, which plain JSON schema would ignore. */
function presented(schema: Schema): unknown {
  const { $ref, ...rest } = schema;
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(rest)) {
    if (key === 'properties') {
      result[key] = presentedMembers(value as Record<string, Schema>);
    } else if (key === 'items' || (key === 'additionalProperties' && isJsonObject(value))) {
      result[key] = presented(value as Schema);
    } else result[key] = value;
  }
  if ($ref === undefined) return result;
  return Object.keys(result).length === 0 ? { $ref } : { ...result, allOf: [{ $ref }] };
}

function presentedMembers(properties: Record<string, Schema>): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const key of Object.keys(properties).sort()) result[key] = presented(properties[key] as Schema);
  return result;
}

const OWN_DESCRIPTIONS: Record<string, string> = {
  'intstr.IntOrString':
    'IntOrString is a type that can hold an int32 or a string. When used in JSON or YAML marshalling and unmarshalling, it produces or consumes the inner type. This allows you to have, for example, a JSON field that can accept a name or number.',
};

/** Fields of an inlined struct are described where that struct is declared. */
function fieldDescription(messageName: string, field: string): string | undefined {
  const own = describeType(messageName)?.fields.get(field);
  if (own) return own;
  for (const candidate of findMessage(messageName)?.fields ?? []) {
    if (!candidate.inline) continue;
    const inner = fieldDescription(candidate.type, field);
    if (inner) return inner;
  }
  return undefined;
}

function describedComponent(component: string, schema: Schema): unknown {
  const messageName = messageNameOf(component);
  if (messageName === undefined) return presented(schema);
  const described: Schema = { ...schema };
  const text = describeType(messageName)?.text ?? OWN_DESCRIPTIONS[messageName];
  if (text) described.description = text;
  if (schema.properties) {
    described.properties = {};
    for (const [name, property] of Object.entries(schema.properties)) {
      let description = fieldDescription(messageName, name);
      if (!description && name === 'apiVersion') description = API_VERSION_DESCRIPTION;
      if (!description && name === 'kind') description = KIND_DESCRIPTION;
      described.properties[name] = description ? { description, ...property } : property;
    }
  }
  return presented(described);
}

function collectRefs(schema: Schema, found: Set<string>): void {
  const target = refTarget(schema);
  if (target !== undefined) found.add(target);
  for (const property of Object.values(schema.properties ?? {})) collectRefs(property, found);
  if (schema.items) collectRefs(schema.items, found);
  if (isJsonObject(schema.additionalProperties)) collectRefs(schema.additionalProperties as Schema, found);
}

/** Adds a component and everything it refers to. */
function addComponents(names: Iterable<string>, schemas: Record<string, unknown>): void {
  const pending = [...names];
  const seen = new Set(Object.keys(schemas));
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const schema = componentSchema(name);
    if (!schema) continue;
    schemas[name] = describedComponent(name, schema);
    const refs = new Set<string>();
    collectRefs(schema, refs);
    pending.push(...refs);
  }
}

/** meta/v1 kinds every document needs; they exist in every group version. */
const META_KINDS = ['DeleteOptions', 'Status', 'APIResourceList', 'WatchEvent', 'Patch'].map((name) =>
  componentName(`meta/v1.${name}`),
);

function componentsOfResource(info: ResourceInfo): string[] {
  const apiVersion = apiVersionOf(info);
  const names = [componentOfKind(apiVersion, info.kind), componentOfKind(apiVersion, `${info.kind}List`)];
  for (const subresource of info.subresources) {
    const { group, version, kind } = subresourceInfo(info, subresource);
    names.push(componentOfKind(apiVersionOf({ group, version }), kind));
  }
  return names.filter((name) => name !== undefined);
}

/** `stable.example.com`, `v1`, `CronTab` -> `com.example.stable.v1.CronTab`. */
export function customComponentName(group: string, version: string, kind: string): string {
  return [...group.split('.').reverse(), version, kind].join('.');
}

function addCustomResource(
  document: OpenApiDocument,
  crd: Crd,
  groupVersion: string,
  needed: Set<string>,
): void {
  const names = crdNames(crd);
  const version = groupVersion.slice(groupVersion.indexOf('/') + 1);
  const schema = customResourceSchema(crd, version);
  if (!names || !schema) return;
  const component = customComponentName(names.group, version, names.kind);
  const list = customComponentName(names.group, version, names.listKind);
  const listMeta: Schema = { $ref: `#/components/schemas/${componentName('meta/v1.ListMeta')}` };
  document.components.schemas[component] = presented(schema);
  document.components.schemas[list] = presented({
    description: `${names.listKind} is a list of ${names.kind}`,
    type: 'object',
    required: ['items'],
    properties: {
      apiVersion: { type: 'string', description: API_VERSION_DESCRIPTION },
      items: {
        type: 'array',
        description: `List of ${names.plural}.`,
        items: { $ref: `#/components/schemas/${component}` },
      },
      kind: { type: 'string', description: KIND_DESCRIPTION },
      metadata: listMeta,
    },
    'x-kubernetes-group-version-kind': [{ group: names.group, version, kind: names.listKind }],
  });
  collectRefs(schema, needed);
  collectRefs({ items: listMeta }, needed);
  const declared = crdVersions(crd).find((entry) => entry.name === version);
  const subresources = isJsonObject(declared?.subresources) ? Object.keys(declared.subresources) : [];
  Object.assign(document.paths, customResourcePaths(names, version, component, list, subresources));
  if (subresources.includes('scale')) needed.add(componentName('autoscaling/v1.Scale'));
}

const builtIn = new Map<string, OpenApiDocument>();

function sorted<T>(object: Record<string, T>): Record<string, T> {
  const result: Record<string, T> = {};
  for (const key of Object.keys(object).sort()) result[key] = object[key] as T;
  return result;
}

/**
 * The document of `v1`, `apps/v1` or a group version of custom resources; undefined when nothing is served there.
 * Documents of built-in groups are built once.
 */
export function openApiV3(groupVersion: string, crds: readonly Crd[] = []): OpenApiDocument | undefined {
  const infos = RESOURCES.filter((info) => apiVersionOf(info) === groupVersion);
  const custom = crdsOfGroupVersion(groupVersion, crds);
  if (infos.length === 0 && custom.length === 0) return undefined;
  const known = custom.length === 0 ? builtIn.get(groupVersion) : undefined;
  if (known) return known;
  const document: OpenApiDocument = {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: 'v1.32.0' },
    paths: {},
    components: { schemas: {} },
  };
  const needed = new Set(META_KINDS);
  for (const info of infos) {
    for (const name of componentsOfResource(info)) needed.add(name);
    Object.assign(document.paths, resourcePaths(info));
  }
  for (const crd of custom) addCustomResource(document, crd, groupVersion, needed);
  addComponents(needed, document.components.schemas);
  document.components.schemas = sorted(document.components.schemas);
  document.paths = sorted(document.paths);
  if (custom.length === 0) builtIn.set(groupVersion, document);
  return document;
}
