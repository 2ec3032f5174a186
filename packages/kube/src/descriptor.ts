import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Field numbers, types and merge markers of the API types, read from `gen/descriptor.txt` (which
 * `scripts/make-descriptor.ts` writes). Protobuf decoding, schemas and patches all stand on it. The file is read at the
 * first question and each message is parsed when first asked for.
 *
 *     package core/v1
 *     message ContainerPort
 *     4 protocol string -o default=TCP
 *     6 ports list:ContainerPort -o patch=merge key=containerPort list=map keys=containerPort,protocol
 *
 * A field line is: number, JSON name, type (`list:` and `map:` prefixes; types of other packages carry their key), flags
 * (p pointer, o omitted when empty, i inlined into the parent's JSON, r required), then markers. A message line may say
 * `kind` (has apiVersion and kind), `alias` (a list in JSON, wrapped for protobuf) and `map=atomic`.
 */
export interface FieldDescriptor {
  readonly number: number;
  readonly name: string;
  readonly shape: 'one' | 'list' | 'map';
  /** `string`, `bool`, `int32`, `int64`, `double`, `bytes`, or a message such as `core/v1.Container`. */
  readonly type: string;
  /** A nil pointer is not sent, so a zero that arrives was meant. */
  readonly pointer: boolean;
  readonly omitEmpty: boolean;
  readonly inline: boolean;
  readonly required: boolean;
  /** `merge`, `replace`, `retainKeys` or `merge,retainKeys`. */
  readonly patchStrategy?: string;
  readonly patchMergeKey?: string;
  readonly listType?: 'atomic' | 'set' | 'map';
  readonly listMapKeys?: readonly string[];
  readonly mapType?: 'atomic' | 'granular';
  readonly default?: string;
  readonly enum?: readonly string[];
}

export interface MessageDescriptor {
  /** `core/v1`, `meta/v1`, `resource`, … */
  readonly package: string;
  readonly name: string;
  readonly isKind: boolean;
  readonly isAlias: boolean;
  readonly mapType?: 'atomic' | 'granular';
  readonly fields: readonly FieldDescriptor[];
}

/** API group of the packages that hold kinds. */
const GROUPS: ReadonlyMap<string, string> = new Map([
  ['apiextensions', 'apiextensions.k8s.io'],
  ['apps', 'apps'],
  ['authentication', 'authentication.k8s.io'],
  ['authorization', 'authorization.k8s.io'],
  ['autoscaling', 'autoscaling'],
  ['batch', 'batch'],
  ['coordination', 'coordination.k8s.io'],
  ['core', ''],
  ['discovery', 'discovery.k8s.io'],
  ['events', 'events.k8s.io'],
  ['networking', 'networking.k8s.io'],
  ['node', 'node.k8s.io'],
  ['policy', 'policy'],
  ['rbac', 'rbac.authorization.k8s.io'],
  ['scheduling', 'scheduling.k8s.io'],
  ['storage', 'storage.k8s.io'],
]);
const PACKAGE_OF_GROUP = new Map([...GROUPS].map(([name, group]) => [group, name]));

const SCALARS: ReadonlySet<string> = new Set(['string', 'bool', 'int32', 'int64', 'double', 'bytes']);

let messageLines: Map<string, string[]> | undefined;
let revision = '';
const parsed = new Map<string, MessageDescriptor>();

function load(): Map<string, string[]> {
  if (messageLines) return messageLines;
  messageLines = new Map();
  const text = readFileSync(join(import.meta.dirname, 'gen/descriptor.txt'), 'utf8');
  revision = String(text.length);
  let packageKey = '';
  let current: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('package ')) packageKey = line.slice(8);
    else if (line.startsWith('message ')) {
      current = [line];
      messageLines.set(`${packageKey}.${line.split(' ')[1]}`, current);
    } else if (line !== '') current.push(line);
  }
  return messageLines;
}

function parseField(line: string, packageKey: string): FieldDescriptor {
  const [number, name, typeText, ...words] = line.split(' ') as [string, string, string, ...string[]];
  const colon = typeText.indexOf(':');
  const shape = colon < 0 ? 'one' : (typeText.slice(0, colon) as 'list' | 'map');
  let type = typeText.slice(colon + 1);
  if (!SCALARS.has(type) && !type.includes('.')) type = `${packageKey}.${type}`;
  const flags = words[0]?.startsWith('-') ? (words.shift() as string) : '';
  const markers = new Map(
    words.map((word): [string, string] => {
      const equals = word.indexOf('=');
      return [word.slice(0, equals), word.slice(equals + 1)];
    }),
  );
  const patchStrategy = markers.get('patch');
  const patchMergeKey = markers.get('key');
  const listType = markers.get('list') as FieldDescriptor['listType'];
  const listMapKeys = markers.get('keys')?.split(',');
  const mapType = markers.get('map') as FieldDescriptor['mapType'];
  const fallback = markers.get('default');
  const values = markers.get('enum')?.split(',');
  return {
    number: Number(number),
    name,
    shape,
    type,
    pointer: flags.includes('p'),
    omitEmpty: flags.includes('o'),
    inline: flags.includes('i'),
    required: flags.includes('r'),
    ...(patchStrategy ? { patchStrategy } : {}),
    ...(patchMergeKey ? { patchMergeKey } : {}),
    ...(listType ? { listType } : {}),
    ...(listMapKeys ? { listMapKeys } : {}),
    ...(mapType ? { mapType } : {}),
    ...(fallback !== undefined ? { default: fallback } : {}),
    ...(values ? { enum: values } : {}),
  };
}

/** The message called `core/v1.Pod`, or undefined. */
export function findMessage(qualifiedName: string): MessageDescriptor | undefined {
  const known = parsed.get(qualifiedName);
  if (known) return known;
  const lines = load().get(qualifiedName);
  if (!lines) return undefined;
  const packageKey = qualifiedName.slice(0, qualifiedName.lastIndexOf('.'));
  const [, name, ...words] = (lines[0] as string).split(' ') as [string, string, ...string[]];
  const mapType = words.find((word) => word.startsWith('map='))?.slice(4) as MessageDescriptor['mapType'];
  const message: MessageDescriptor = {
    package: packageKey,
    name,
    isKind: words.includes('kind'),
    isAlias: words.includes('alias'),
    ...(mapType ? { mapType } : {}),
    fields: lines.slice(1).map((line) => parseField(line, packageKey)),
  };
  parsed.set(qualifiedName, message);
  return message;
}

/** Names of all messages of a package, in the order of the file. */
export function messageNames(packageKey: string): string[] {
  return [...load().keys()].filter((name) => name.startsWith(`${packageKey}.`));
}

/** `apps`, `v1` -> `apps/v1`; undefined for groups that are not built in. */
export function packageOfGroup(group: string, version: string): string | undefined {
  const name = PACKAGE_OF_GROUP.get(group);
  return name === undefined ? undefined : `${name}/${version}`;
}

/** `apps/v1` -> group and version; undefined for packages that hold no kinds of one group. */
export function groupOfPackage(packageKey: string): { group: string; version: string } | undefined {
  const slash = packageKey.indexOf('/');
  const group = slash < 0 ? undefined : GROUPS.get(packageKey.slice(0, slash));
  return group === undefined ? undefined : { group, version: packageKey.slice(slash + 1) };
}

/** Changes whenever the described types do. */
export function descriptorRevision(): string {
  load();
  return revision;
}
