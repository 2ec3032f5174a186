import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/**
 * Descriptions of types and fields, read from the doc comments of the npm package `kubernetes-types`. Its `.d.ts` files
 * have one shape: a doc comment, then `export interface Name {` with one member (or nested index signature) each.
 * A file is read when a description in it is first asked for.
 */
export interface TypeDescription {
  readonly text: string;
  readonly fields: ReadonlyMap<string, string>;
}

type FileDescriptions = ReadonlyMap<string, TypeDescription>;

const files = new Map<string, FileDescriptions>();
const NONE: FileDescriptions = new Map();

function commentText(lines: string[]): string {
  return lines
    .map((line) =>
      line
        .replace(/^\s*\/?\*+\/?/, '')
        .replace(/\*\/\s*$/, '')
        .replace(/^ /, '')
        .trimEnd(),
    )
    .join('\n')
    .trim();
}

/** Parses one file: type name -> its description and those of its fields. Text it does not know is passed over. */
export function parseDescriptions(source: string): FileDescriptions {
  const types = new Map<string, { text: string; fields: Map<string, string> }>();
  let comment: string[] = [];
  let inComment = false;
  let current: { text: string; fields: Map<string, string> } | undefined;
  for (const line of source.split('\n')) {
    if (inComment || /^\s*\/\*\*/.test(line)) {
      if (!inComment) comment = [];
      comment.push(line);
      inComment = !line.includes('*/');
      continue;
    }
    const type = /^export (?:interface|type) (\w+)/.exec(line);
    if (type) {
      current = { text: commentText(comment), fields: new Map() };
      types.set(type[1] as string, current);
    } else if (line === '}') current = undefined;
    else {
      // Members stand at four spaces; the body of a nested type stands deeper.
      const member = /^ {4}(?:readonly )?(?:"([^"]+)"|([\w$]+))\??:/.exec(line);
      if (member && current) current.fields.set((member[1] ?? member[2]) as string, commentText(comment));
    }
    comment = [];
  }
  return types;
}

function pathOfPackage(packageKey: string): string | undefined {
  if (packageKey === 'resource') return 'api/resource.d.ts';
  if (packageKey === 'runtime') return 'runtime.d.ts';
  return packageKey.includes('/') ? `${packageKey}.d.ts` : undefined;
}

/** The description of `core/v1.Pod`, or undefined for types the package does not have. */
export function describeType(messageName: string): TypeDescription | undefined {
  const dot = messageName.lastIndexOf('.');
  const packageKey = messageName.slice(0, dot);
  let types = files.get(packageKey);
  if (!types) {
    const path = pathOfPackage(packageKey);
    types = NONE;
    if (path) {
      const root = dirname(createRequire(import.meta.url).resolve('kubernetes-types/package.json'));
      try {
        types = parseDescriptions(readFileSync(join(root, path), 'utf8'));
      } catch (error) {
        // Groups newer than the package simply go without descriptions.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    files.set(packageKey, types);
  }
  return types.get(messageName.slice(dot + 1));
}
