import { isJsonObject, jsonEquals } from '../object.ts';
import { setOwn } from './merge-patch.ts';

/**
 * JSON Patch (RFC 6902) over JSON Pointers (RFC 6901). A failed operation throws JsonPatchError and leaves the document
 * as it was. `malformed` tells a patch that is no JSON Patch at all (400 of the API server) from one that does not fit
 * the document (422).
 */
export class JsonPatchError extends Error {
  readonly malformed: boolean;

  constructor(message: string, malformed: boolean) {
    super(message);
    this.malformed = malformed;
  }
}

export interface JsonPatchOperation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
}

/** The API server refuses more operations than this (apiserver `pkg/endpoints/handlers/patch.go`). */
export const MAX_JSON_PATCH_OPERATIONS = 10_000;

const OPERATIONS: ReadonlySet<string> = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);

function parsePointer(pointer: unknown, member: string): string[] {
  if (typeof pointer !== 'string') throw new JsonPatchError(`operation has no ${member}`, true);
  if (pointer === '') return [];
  if (!pointer.startsWith('/')) {
    throw new JsonPatchError(`${member} ${JSON.stringify(pointer)} does not start with '/'`, true);
  }
  return pointer
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function arrayIndex(token: string, length: number, pointer: string): number {
  if (!/^(0|[1-9]\d*)$/.test(token) || Number(token) > length) {
    throw new JsonPatchError(
      `path ${JSON.stringify(pointer)}: no array index ${JSON.stringify(token)}`,
      false,
    );
  }
  return Number(token);
}

function missing(pointer: string): JsonPatchError {
  return new JsonPatchError(`path ${JSON.stringify(pointer)} does not exist`, false);
}

function childOf(container: unknown, token: string, pointer: string): unknown {
  if (Array.isArray(container)) return container[arrayIndex(token, container.length - 1, pointer)];
  if (isJsonObject(container) && Object.hasOwn(container, token)) return container[token];
  throw missing(pointer);
}

/** A document under change, held in a box so that the root can be replaced too. */
interface Box {
  root: unknown;
}

function parentOf(box: Box, tokens: string[], pointer: string): unknown {
  let container = box.root;
  for (const token of tokens.slice(0, -1)) container = childOf(container, token, pointer);
  return container;
}

function read(box: Box, pointer: string, member: string): unknown {
  let value = box.root;
  for (const token of parsePointer(pointer, member)) value = childOf(value, token, pointer);
  return value;
}

function add(box: Box, pointer: string, value: unknown): void {
  const tokens = parsePointer(pointer, 'path');
  const last = tokens.at(-1);
  if (last === undefined) {
    box.root = value;
    return;
  }
  const parent = parentOf(box, tokens, pointer);
  if (Array.isArray(parent)) {
    const index = last === '-' ? parent.length : arrayIndex(last, parent.length, pointer);
    parent.splice(index, 0, value);
  } else if (isJsonObject(parent)) setOwn(parent, last, value);
  else throw missing(pointer);
}

function remove(box: Box, pointer: string, member: string): unknown {
  const tokens = parsePointer(pointer, member);
  const last = tokens.at(-1);
  if (last === undefined) {
    const root = box.root;
    box.root = null;
    return root;
  }
  const parent = parentOf(box, tokens, pointer);
  const value = childOf(parent, last, pointer);
  if (Array.isArray(parent)) parent.splice(Number(last), 1);
  else delete (parent as Record<string, unknown>)[last];
  return value;
}

function replace(box: Box, pointer: string, value: unknown): void {
  const tokens = parsePointer(pointer, 'path');
  const last = tokens.at(-1);
  if (last === undefined) {
    box.root = value;
    return;
  }
  const parent = parentOf(box, tokens, pointer);
  childOf(parent, last, pointer);
  if (Array.isArray(parent)) parent[Number(last)] = value;
  else setOwn(parent as Record<string, unknown>, last, value);
}

function applyOperation(box: Box, operation: unknown): void {
  if (!isJsonObject(operation) || typeof operation.op !== 'string' || !OPERATIONS.has(operation.op)) {
    throw new JsonPatchError(`unexpected kind of operation: ${JSON.stringify(operation)}`, true);
  }
  const { op, path, from } = operation as unknown as JsonPatchOperation;
  parsePointer(path, 'path');
  if ((op === 'add' || op === 'replace' || op === 'test') && !Object.hasOwn(operation, 'value')) {
    throw new JsonPatchError(`operation ${op} ${JSON.stringify(path)} has no value`, true);
  }
  const value = structuredClone(operation.value);
  if (op === 'add') add(box, path, value);
  else if (op === 'replace') replace(box, path, value);
  else if (op === 'remove') remove(box, path, 'path');
  else if (op === 'test') {
    if (!jsonEquals(read(box, path, 'path'), value)) {
      throw new JsonPatchError(`testing value ${path} failed`, false);
    }
  } else if (op === 'copy') add(box, path, structuredClone(read(box, from as string, 'from')));
  else {
    parsePointer(from, 'from');
    // RFC 6902 section 4.4: a location cannot be moved into one of its children.
    if (path.startsWith(`${from}/`)) {
      throw new JsonPatchError(
        `cannot move ${JSON.stringify(from)} into its child ${JSON.stringify(path)}`,
        false,
      );
    }
    add(box, path, remove(box, from as string, 'from'));
  }
}

/** Applies all operations or none; the argument is not changed. Throws JsonPatchError. */
export function applyJsonPatch(document: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw new JsonPatchError('a JSON patch is an array of operations', true);
  if (patch.length > MAX_JSON_PATCH_OPERATIONS) {
    throw new JsonPatchError(
      `The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${patch.length}`,
      true,
    );
  }
  const box: Box = { root: structuredClone(document) };
  for (const operation of patch) applyOperation(box, operation);
  return box.root;
}
