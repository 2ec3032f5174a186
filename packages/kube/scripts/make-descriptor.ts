/**
 * Writes src/gen/descriptor.txt: names, numbers, types and merge markers of every field of the API types.
 *
 * Usage: node packages/kube/scripts/make-descriptor.ts FOLDER
 * FOLDER holds the unpacked Go modules `k8s.io/api@V`, `k8s.io/apimachinery@V` and `k8s.io/apiextensions-apiserver@V`
 * as `api@V`, … (a Go module cache's `k8s.io` folder). From each package two files are read: `generated.proto` (field
 * numbers, types, `+marker` comments) and `types.go` (JSON names, pointers, `omitempty`, inlined structs).
 *
 * The format, one line each, is described at the top of src/descriptor.ts.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface GoField {
  jsonName: string;
  pointer: boolean;
  omitEmpty: boolean;
  inline: boolean;
  /** The type's name when it is a plain one: `PullPolicy`, `v1.PullPolicy`. */
  typeName: string;
}

const PACKAGES: [key: string, module: string, folder: string][] = [
  ['resource', 'apimachinery', 'pkg/api/resource'],
  ['meta/v1', 'apimachinery', 'pkg/apis/meta/v1'],
  ['runtime', 'apimachinery', 'pkg/runtime'],
  ['intstr', 'apimachinery', 'pkg/util/intstr'],
  ...[
    'apps/v1',
    'authentication/v1',
    'authorization/v1',
    'autoscaling/v1',
    'autoscaling/v2',
    'batch/v1',
    'coordination/v1',
    'core/v1',
    'discovery/v1',
    'events/v1',
    'networking/v1',
    'node/v1',
    'policy/v1',
    'rbac/v1',
    'scheduling/v1',
    'storage/v1',
  ].map((key): [string, string, string] => [key, 'api', key]),
  ['apiextensions/v1', 'apiextensions-apiserver', 'pkg/apis/apiextensions/v1'],
];

const root = process.argv[2];
if (!root) {
  process.stderr.write('Usage: node make-descriptor.ts FOLDER_OF_GO_MODULES\n');
  process.exit(2);
}

function moduleFolder(name: string): string {
  const found = readdirSync(root as string).filter((entry) => entry.startsWith(`${name}@`));
  if (found.length !== 1)
    throw new Error(`Cannot find one module ${name}@… in ${root}: found ${found.length}`);
  return join(root as string, found[0] as string);
}

/** protobuf package -> short key, so that types of other packages get short names. */
const keyOfPackage = new Map<string, string>();
for (const [key, module, folder] of PACKAGES) {
  keyOfPackage.set(`k8s.io/${module}/${folder}`.replaceAll('/', '.'), key);
}

/** `core/v1.PullPolicy` -> its values, for string types marked `+enum`. */
const enums = new Map<string, string[]>();

/** Struct -> protobuf field number -> what Go's tags say; plus the structs with a TypeMeta and the list types. */
function readGoTypes(folder: string, key: string) {
  const fields = new Map<string, Map<number, GoField>>();
  const kinds = new Set<string>();
  const lists = new Set<string>();
  for (const file of readdirSync(folder)) {
    if (!file.endsWith('.go') || file.endsWith('_test.go') || /^(generated|zz_generated)/.test(file))
      continue;
    let struct: Map<number, GoField> | undefined;
    let name = '';
    let marked = false;
    for (const line of readFileSync(join(folder, file), 'utf8').split('\n')) {
      const start = /^type (\w+) struct \{/.exec(line);
      if (start) {
        name = start[1] as string;
        fields.set(name, (struct = new Map()));
        continue;
      }
      if (line === '// +enum') marked = true;
      const enumType = /^type (\w+) string$/.exec(line);
      if (enumType && marked) enums.set(`${key}.${enumType[1]}`, []);
      if (!line.startsWith('//')) marked = false;
      const value = /^\t\w+\s+(\w+)\s+= "([^" ]*)"/.exec(line) ?? /^const \w+ (\w+) = "([^" ]*)"/.exec(line);
      if (value) enums.get(`${key}.${value[1]}`)?.push(value[2] as string);
      const list = /^type (\w+) \[\]\w+$/.exec(line);
      if (list) lists.add(list[1] as string);
      if (line === '}') struct = undefined;
      if (!struct) continue;
      if (/^\t(metav1\.|runtime\.)?TypeMeta\s/.test(line)) kinds.add(name);
      const tag = /json:"([^"]*)".*protobuf:"\w+,(\d+)/.exec(line);
      if (!tag) continue;
      const [jsonName = '', ...options] = (tag[1] as string).split(',');
      struct.set(Number(tag[2]), {
        jsonName,
        pointer: /^\t(\w+\s+)?\*/.test(line),
        omitEmpty: options.includes('omitempty') || options.includes('omitzero'),
        inline: jsonName === '' && options.includes('inline'),
        typeName: /^\t\w+\s+\*?([\w.]+)\s/.exec(line)?.[1] ?? '',
      });
    }
  }
  return { fields, kinds, lists };
}

function typeName(type: string, key: string): string {
  if (!type.includes('.')) return type;
  const bare = type.replace(/^\./, '');
  const dot = bare.lastIndexOf('.');
  const other = keyOfPackage.get(bare.slice(0, dot));
  if (!other) throw new Error(`Cannot place type ${type}: its package is not in the list`);
  return other === key ? bare.slice(dot + 1) : `${other}.${bare.slice(dot + 1)}`;
}

function markersOf(comments: string[]): Map<string, string[]> {
  const markers = new Map<string, string[]>();
  for (const comment of comments) {
    const match = /^\s*\/\/ \+([A-Za-z]+)(?:=(.*))?$/.exec(comment);
    if (!match) continue;
    const values = markers.get(match[1] as string) ?? [];
    values.push((match[2] ?? '').trim());
    markers.set(match[1] as string, values);
  }
  return markers;
}

function fieldLine(key: string, go: GoField | undefined, match: RegExpExecArray, comments: string[]): string {
  const [, label, mapValue, scalar, protoName, number] = match;
  const markers = markersOf(comments);
  const first = (marker: string) => markers.get(marker)?.[0];
  let type = typeName((mapValue ?? scalar) as string, key);
  if (mapValue) type = `map:${type}`;
  else if (label === 'repeated') type = `list:${type}`;
  let flags = '';
  if (go?.pointer) flags += 'p';
  if (go?.omitEmpty) flags += 'o';
  if (go?.inline) flags += 'i';
  if (go && !go.inline && !go.omitEmpty && !markers.has('optional')) flags += 'r';
  const words = [number, go?.jsonName || protoName, type];
  if (flags) words.push(`-${flags}`);
  const strategy = first('patchStrategy');
  if (strategy) words.push(`patch=${strategy}`);
  const mergeKey = first('patchMergeKey');
  if (mergeKey) words.push(`key=${mergeKey}`);
  const listType = first('listType');
  if (listType) words.push(`list=${listType}`);
  const listKeys = markers.get('listMapKey');
  if (listKeys) words.push(`keys=${listKeys.join(',')}`);
  const mapType = first('mapType') ?? first('structType');
  if (mapType) words.push(`map=${mapType}`);
  const fallback = first('default');
  const [bare = '', other] = (go?.typeName ?? '').split('.').reverse();
  const values =
    mapValue || label === 'repeated' ? [] : (enums.get(`${other ? 'core/v1' : key}.${bare}`) ?? []);
  if (values.length > 0) words.push(`enum=${[...values].sort().join(',')}`);
  if (fallback?.startsWith('"')) words.push(`default=${JSON.parse(fallback)}`);
  return words.join(' ');
}

function describePackage(key: string, folder: string): string[] {
  const go = readGoTypes(folder, key);
  const lines: string[] = [`package ${key}`];
  let comments: string[] = [];
  let message = '';
  for (const line of readFileSync(join(folder, 'generated.proto'), 'utf8').split('\n')) {
    if (/^\s*\/\//.test(line)) {
      comments.push(line);
      continue;
    }
    const start = /^message (\w+) \{/.exec(line);
    if (start) {
      message = start[1] as string;
      const words = ['message', message];
      if (go.kinds.has(message)) words.push('kind');
      if (go.lists.has(message)) words.push('alias');
      const mapType = markersOf(comments).get('structType')?.[0];
      if (mapType) words.push(`map=${mapType}`);
      lines.push(words.join(' '));
    }
    const field =
      /^ {2}(?:(optional|repeated) |map<string, ([.\w]+)> )([.\w]+ )?(\w+) = (\d+);/.exec(line) ?? undefined;
    if (field) {
      // Groups: label, map value type, scalar type with a trailing blank, name, number.
      if (field[3]) field[3] = field[3].trim();
      const number = Number(field[5]);
      lines.push(fieldLine(key, go.fields.get(message)?.get(number), field, comments));
    }
    if (line.trim() !== '') comments = [];
  }
  return lines;
}

// Other packages use enumerations of core/v1, so that one is read first.
readGoTypes(join(moduleFolder('api'), 'core/v1'), 'core/v1');
const output: string[] = [];
for (const [key, module, folder] of PACKAGES) {
  const path = join(moduleFolder(module), folder);
  if (!existsSync(join(path, 'generated.proto'))) throw new Error(`Cannot read ${path}/generated.proto`);
  output.push(...describePackage(key, path));
}
const target = join(import.meta.dirname, '../src/gen/descriptor.txt');
writeFileSync(target, `${output.join('\n')}\n`);
process.stdout.write(`${output.length} lines to ${target}\n`);
