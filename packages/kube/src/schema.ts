import {
  descriptorRevision,
  type FieldDescriptor,
  findMessage,
  groupOfPackage,
  type MessageDescriptor,
  packageOfGroup,
} from './descriptor.ts';
import { isJsonObject, parseApiVersion } from './object.ts';

/**
 * JSON schemas of the API types, in the dialect of the API server's OpenAPI v3 documents: components are called
 * `io.k8s.api.apps.v1.Deployment`, merge behaviour is told by `x-kubernetes-*` members. Schemas of custom resources are
 * the same data, taken from their CustomResourceDefinition.
 *
 * Components are made when first asked for. Descriptions are not part of them; `openapi.ts` adds those.
 */
export interface Schema {
  $ref?: string;
  type?: string;
  format?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
  not?: Schema;
  default?: unknown;
  enum?: unknown[];
  nullable?: boolean;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: boolean;
  exclusiveMaximum?: boolean;
  multipleOf?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minProperties?: number;
  maxProperties?: number;
  'x-kubernetes-group-version-kind'?: { group: string; version: string; kind: string }[];
  'x-kubernetes-patch-strategy'?: string;
  'x-kubernetes-patch-merge-key'?: string;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: readonly string[];
  'x-kubernetes-map-type'?: 'atomic' | 'granular';
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-embedded-resource'?: boolean;
}

const REF_PREFIX = '#/components/schemas/';

const COMPONENT_PREFIX: Record<string, string> = {
  'meta/v1': 'io.k8s.apimachinery.pkg.apis.meta.v1',
  resource: 'io.k8s.apimachinery.pkg.api.resource',
  runtime: 'io.k8s.apimachinery.pkg.runtime',
  intstr: 'io.k8s.apimachinery.pkg.util.intstr',
  'apiextensions/v1': 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1',
};

/** `core/v1.Pod` -> `io.k8s.api.core.v1.Pod`. */
export function componentName(messageName: string): string {
  const dot = messageName.lastIndexOf('.');
  const packageKey = messageName.slice(0, dot);
  const prefix = COMPONENT_PREFIX[packageKey] ?? `io.k8s.api.${packageKey.replace('/', '.')}`;
  return `${prefix}${messageName.slice(dot)}`;
}

/** The inverse of componentName; undefined for names that are not of this form. */
export function messageNameOf(component: string): string | undefined {
  const dot = component.lastIndexOf('.');
  const prefix = component.slice(0, dot);
  for (const [key, value] of Object.entries(COMPONENT_PREFIX)) {
    if (value === prefix) return `${key}${component.slice(dot)}`;
  }
  const match = /^io\.k8s\.api\.(\w+)\.(v\w+)$/.exec(prefix);
  return match ? `${match[1]}/${match[2]}${component.slice(dot)}` : undefined;
}

/** Types whose JSON is not the object their protobuf message suggests. */
const SPECIAL: Record<string, Schema> = {
  'meta/v1.Time': { type: 'string', format: 'date-time' },
  'meta/v1.MicroTime': { type: 'string', format: 'date-time' },
  'meta/v1.Duration': { type: 'string' },
  'meta/v1.FieldsV1': { type: 'object' },
  'resource.Quantity': { oneOf: [{ type: 'string' }, { type: 'number' }] },
  'intstr.IntOrString': { oneOf: [{ type: 'integer' }, { type: 'string' }], format: 'int-or-string' },
  'runtime.RawExtension': { type: 'object' },
  'apiextensions/v1.JSON': {},
  'apiextensions/v1.JSONSchemaPropsOrArray': {},
  'apiextensions/v1.JSONSchemaPropsOrBool': {},
  'apiextensions/v1.JSONSchemaPropsOrStringArray': {},
};

const SCALAR: Record<string, Schema> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  int32: { type: 'integer', format: 'int32' },
  int64: { type: 'integer', format: 'int64' },
  double: { type: 'number', format: 'double' },
  bytes: { type: 'string', format: 'byte' },
};

export const API_VERSION_DESCRIPTION =
  'APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#resources';
export const KIND_DESCRIPTION =
  'Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#types-kinds';

function typeSchema(type: string): Schema {
  const scalar = SCALAR[type];
  if (scalar) return scalar;
  const message = findMessage(type);
  // A list that protobuf had to wrap is a list again in JSON.
  if (message?.isAlias)
    return { type: 'array', items: typeSchema((message.fields[0] as FieldDescriptor).type) };
  return { $ref: REF_PREFIX + componentName(type) };
}

function fieldSchema(field: FieldDescriptor): Schema {
  const inner = typeSchema(field.type);
  let schema: Schema;
  if (field.shape === 'list') schema = { type: 'array', items: inner };
  else if (field.shape === 'map') schema = { type: 'object', additionalProperties: inner };
  else schema = { ...inner };
  if (field.default !== undefined) schema.default = field.default;
  if (field.enum) schema.enum = [...field.enum];
  if (field.patchStrategy) schema['x-kubernetes-patch-strategy'] = field.patchStrategy;
  if (field.patchMergeKey) schema['x-kubernetes-patch-merge-key'] = field.patchMergeKey;
  if (field.listType) schema['x-kubernetes-list-type'] = field.listType;
  if (field.listMapKeys) schema['x-kubernetes-list-map-keys'] = field.listMapKeys;
  if (field.mapType) schema['x-kubernetes-map-type'] = field.mapType;
  return schema;
}

function addFields(schema: Schema, message: MessageDescriptor): void {
  const properties = (schema.properties ??= {});
  for (const field of message.fields) {
    const inlined = field.inline ? findMessage(field.type) : undefined;
    if (inlined) addFields(schema, inlined);
    else {
      properties[field.name] = fieldSchema(field);
      if (field.required) (schema.required ??= []).push(field.name);
    }
  }
}

function messageSchema(message: MessageDescriptor): Schema {
  const schema: Schema = { type: 'object', properties: {} };
  if (message.isKind) {
    schema.properties = { apiVersion: { type: 'string' }, kind: { type: 'string' } };
    const gv = groupOfPackage(message.package) ?? { group: '', version: 'v1' };
    schema['x-kubernetes-group-version-kind'] = [{ ...gv, kind: message.name }];
  }
  if (message.mapType) schema['x-kubernetes-map-type'] = message.mapType;
  addFields(schema, message);
  return schema;
}

const components = new Map<string, Schema>();

/** The schema called `io.k8s.api.core.v1.Pod`, shared: do not change it. Undefined when there is none. */
export function componentSchema(component: string): Schema | undefined {
  const known = components.get(component);
  if (known) return known;
  const messageName = messageNameOf(component);
  if (messageName === undefined) return undefined;
  const message = findMessage(messageName);
  const schema = SPECIAL[messageName] ?? (message && messageSchema(message));
  if (schema) components.set(component, schema);
  return schema;
}

/** The component a `$ref` names, or undefined for schemas without one. */
export function refTarget(schema: Schema): string | undefined {
  return schema.$ref?.startsWith(REF_PREFIX) ? schema.$ref.slice(REF_PREFIX.length) : undefined;
}

/** Follows `$ref`; a merge type told beside the reference wins over the component's own. */
export function resolveSchema(schema: Schema): Schema {
  const target = refTarget(schema);
  if (target === undefined) return schema;
  const component = componentSchema(target) ?? {};
  const mapType = schema['x-kubernetes-map-type'];
  if (mapType === undefined || mapType === component['x-kubernetes-map-type']) return component;
  return { ...component, 'x-kubernetes-map-type': mapType };
}

/** The component of a built-in kind; options kinds of meta/v1 exist in every group. */
export function componentOfKind(apiVersion: string, kind: string): string | undefined {
  const { group, version } = parseApiVersion(apiVersion);
  const packageKey = packageOfGroup(group, version);
  if (packageKey !== undefined && findMessage(`${packageKey}.${kind}`)?.isKind) {
    return componentName(`${packageKey}.${kind}`);
  }
  return findMessage(`meta/v1.${kind}`)?.isKind ? componentName(`meta/v1.${kind}`) : undefined;
}

/** The schema of a built-in kind, or undefined. */
export function schemaOfKind(apiVersion: string, kind: string): Schema | undefined {
  const component = componentOfKind(apiVersion, kind);
  return component === undefined ? undefined : componentSchema(component);
}

const OBJECT_META_REF: Schema = { $ref: `${REF_PREFIX}${componentName('meta/v1.ObjectMeta')}` };

/** A schema that keeps everything: versions of a CustomResourceDefinition without one. */
const ANYTHING: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

const customSchemas = new WeakMap<object, Schema>();

/**
 * The schema of one version of a CustomResourceDefinition, with the members every object has. `crd` is the stored
 * object; the result is kept as long as that object is. Undefined when the version does not exist.
 */
export function customResourceSchema(crd: unknown, version: string): Schema | undefined {
  const spec = isJsonObject(crd) && isJsonObject(crd.spec) ? crd.spec : undefined;
  const versions = Array.isArray(spec?.versions) ? spec.versions : [];
  const found: unknown = versions.find((entry) => isJsonObject(entry) && entry.name === version);
  if (!spec || !isJsonObject(found)) return undefined;
  const known = customSchemas.get(found);
  if (known) return known;
  const declared = isJsonObject(found.schema) ? found.schema.openAPIV3Schema : undefined;
  const root = (isJsonObject(declared) ? declared : ANYTHING) as Schema;
  const names = isJsonObject(spec.names) ? spec.names : {};
  const schema: Schema = {
    ...root,
    properties: {
      ...root.properties,
      apiVersion: { type: 'string', description: API_VERSION_DESCRIPTION },
      kind: { type: 'string', description: KIND_DESCRIPTION },
      metadata: OBJECT_META_REF,
    },
    'x-kubernetes-group-version-kind': [
      { group: String(spec.group ?? ''), version, kind: String(names.kind ?? '') },
    ],
  };
  if (spec.preserveUnknownFields === true) schema['x-kubernetes-preserve-unknown-fields'] = true;
  customSchemas.set(found, schema);
  return schema;
}

/** Changes when the built-in schemas do: part of the hash OpenAPI clients cache by. */
export function schemaRevision(): string {
  return descriptorRevision();
}

/** True for schemas that say nothing about their members: raw extensions and preserved unknown fields. */
export function isOpaque(schema: Schema): boolean {
  return (
    schema.properties === undefined && schema.additionalProperties === undefined && schema.items === undefined
  );
}
