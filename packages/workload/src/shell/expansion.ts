import { posix } from 'node:path';
import { evaluateArithmetic } from './arithmetic.ts';
import { expandBraces } from './braces.ts';
import type { Files } from './files.ts';
import { escapePattern, hasPattern, matchesPattern, unescapePattern } from './pattern.ts';
import type { Script, Word, WordPart } from './syntax.ts';

/** What expansion needs of the shell it runs in. */
export interface ExpansionHost {
  getVariable(name: string): string | undefined;
  setVariable(name: string, value: string): void;
  /** `$1` and on. */
  readonly positional: readonly string[];
  /** Runs a script and returns what it wrote. */
  substitute(script: Script): Promise<string>;
  readonly files: Files;
  readonly directory: string;
  /** `set -u`. */
  readonly failOnUnset: boolean;
  /** bash: `{a,b}` and `{1..9}`. */
  readonly expandsBraces: boolean;
}

/** An expansion that cannot be done: `${X:?text}`, `set -u`, arithmetic errors. Ends the script as dash does. */
export class ExpansionProblem extends Error {}

/** A piece of an expanded word; unquoted text may split into fields and act as a pattern. */
interface Piece {
  text: string;
  quoted: boolean;
  /** Literal text of the script is not split into fields; the result of an expansion is. */
  split: boolean;
  /** `"$@"`: a field ends here. */
  breakAfter?: boolean;
}

/** Expands words into the fields of a command: parameters, commands, arithmetic, field splitting, pathnames, quotes. */
export async function expandWords(words: readonly Word[], host: ExpansionHost): Promise<string[]> {
  const fields: string[] = [];
  for (const word of host.expandsBraces ? words.flatMap(expandBraces) : words) {
    const pieces = await expandParts(word, host);
    for (const field of splitFields(pieces, host.getVariable('IFS') ?? ' \t\n')) {
      const paths = hasPattern(field) ? matchPaths(field, host) : [];
      fields.push(...(paths.length > 0 ? paths : [unescapePattern(field)]));
    }
  }
  return fields;
}

/** Expands one word to one string, without field splitting or pathnames: assignments, redirect targets, here-documents. */
export async function expandToString(word: Word, host: ExpansionHost): Promise<string> {
  const pieces = await expandParts(word, host);
  return pieces.map((piece) => (piece.breakAfter ? `${piece.text} ` : piece.text)).join('');
}

/** Expands one word to a pattern in which quoted characters stand for themselves. */
export async function expandToPattern(word: Word, host: ExpansionHost): Promise<string> {
  const pieces = await expandParts(word, host);
  return pieces.map((piece) => (piece.quoted ? escapePattern(piece.text) : piece.text)).join('');
}

async function expandParts(word: Word, host: ExpansionHost): Promise<Piece[]> {
  const pieces: Piece[] = [];
  for (const [index, part] of word.entries()) {
    switch (part.type) {
      case 'literal': {
        const tilde = index === 0 && !part.quoted && /^~(?=\/|$)/.test(part.text);
        pieces.push({
          text: tilde ? (host.getVariable('HOME') ?? '/root') + part.text.slice(1) : part.text,
          quoted: part.quoted,
          split: false,
        });
        break;
      }
      case 'command':
        pieces.push({
          text: (await host.substitute(part.script)).replace(/\n+$/, ''),
          quoted: part.quoted,
          split: true,
        });
        break;
      case 'arithmetic':
        pieces.push({ text: await arithmetic(part.expression, host), quoted: part.quoted, split: true });
        break;
      case 'parameter':
        pieces.push(...(await expandParameter(part, host)));
    }
  }
  return pieces;
}

async function arithmetic(expression: Word, host: ExpansionHost): Promise<string> {
  const text = await expandToString(expression, host);
  try {
    const variables = {
      get: (name: string) => host.getVariable(name) ?? '',
      set: (name: string, value: string) => host.setVariable(name, value),
    };
    return String(evaluateArithmetic(text, variables));
  } catch (error) {
    throw new ExpansionProblem((error as Error).message);
  }
}

type ParameterPart = Extract<WordPart, { type: 'parameter' }>;

async function expandParameter(part: ParameterPart, host: ExpansionHost): Promise<Piece[]> {
  const { name, operator, quoted } = part;
  if ((name === '@' || name === '*') && operator === '') {
    const { positional } = host;
    if (quoted && name === '*') {
      const separator = (host.getVariable('IFS') ?? ' ').slice(0, 1);
      return [{ text: positional.join(separator), quoted, split: true }];
    }
    return positional.map((text, index) => ({
      text,
      quoted,
      split: !quoted,
      ...(index < positional.length - 1 && { breakAfter: true }),
    }));
  }
  const value = host.getVariable(name);
  const piece = (text: string): Piece[] => [{ text, quoted, split: true }];
  const argument = (): Promise<string> => expandToString(part.argument ?? [], host);
  // Literal text of an unquoted argument splits into fields, as the result of an expansion does.
  const argumentPieces = async (): Promise<Piece[]> =>
    (await expandParts(part.argument ?? [], host)).map((inner) => ({
      ...inner,
      quoted: inner.quoted || quoted,
      split: true,
    }));
  const missing = operator.startsWith(':') ? value === undefined || value === '' : value === undefined;
  switch (operator.replace(/^:(?=.)/, '')) {
    case '-':
      return missing ? argumentPieces() : piece(value!);
    case '=':
      if (missing) host.setVariable(name, await argument());
      return piece(host.getVariable(name) ?? '');
    case '+':
      return missing ? piece('') : argumentPieces();
    case '?':
      if (missing) throw new ExpansionProblem(`${name}: ${(await argument()) || 'parameter not set'}`);
      return piece(value!);
    case 'length':
      return piece(String(name === '@' || name === '*' ? host.positional.length : (value ?? '').length));
  }
  if (value === undefined && host.failOnUnset && !'?$#@*!-'.includes(name)) {
    throw new ExpansionProblem(`${name}: parameter not set`);
  }
  const text = value ?? '';
  switch (operator) {
    case '#':
    case '##':
    case '%':
    case '%%':
      return piece(trim(text, await expandToPattern(part.argument ?? [], host), operator));
    case '/':
    case '//':
      return piece(replaceMatches(text, await expandToPattern(part.argument ?? [], host), operator === '//'));
    case '^':
      return piece(text.slice(0, 1).toUpperCase() + text.slice(1));
    case '^^':
      return piece(text.toUpperCase());
    case ',':
      return piece(text.slice(0, 1).toLowerCase() + text.slice(1));
    case ',,':
      return piece(text.toLowerCase());
    case ':': {
      const [offset, length] = (await argument()).split(':').map((n) => Number(n));
      const start = (offset ?? 0) < 0 ? text.length + offset! : (offset ?? 0);
      return piece(length === undefined ? text.slice(start) : text.slice(start, start + length));
    }
  }
  return piece(text);
}

/** bash's `${X/pattern/text}`: the longest match at the first place, or at every place. */
function replaceMatches(text: string, argument: string, all: boolean): string {
  const slash = /(?:^|[^\\])(?:\\\\)*\//.exec(argument);
  const end = slash ? slash.index + slash[0].length - 1 : argument.length;
  const pattern = argument.slice(0, end);
  const replacement = unescapePattern(argument.slice(end + 1));
  if (pattern === '' || text.length > MAX_REPLACE_CHARACTERS) return text;
  let result = '';
  let at = 0;
  while (at < text.length) {
    let length = text.length - at;
    while (length > 0 && !matchesPattern(pattern, text.slice(at, at + length))) length--;
    if (length === 0) result += text[at++];
    else {
      result += replacement;
      at += length;
      if (!all) break;
    }
  }
  return result + text.slice(at);
}

const MAX_REPLACE_CHARACTERS = 2_048;

function trim(text: string, pattern: string, operator: string): string {
  const lengths = Array.from({ length: Math.min(text.length, 4_096) + 1 }, (_, n) => n);
  if (operator.length === 2) lengths.reverse();
  for (const n of lengths) {
    if (operator.startsWith('#') && matchesPattern(pattern, text.slice(0, n))) return text.slice(n);
    if (operator.startsWith('%') && matchesPattern(pattern, text.slice(text.length - n)))
      return text.slice(0, text.length - n);
  }
  return text;
}

/** POSIX 2.6.5. The result keeps quoted characters escaped, for pathname expansion to see. */
function splitFields(pieces: readonly Piece[], separators: string): string[] {
  const fields: string[] = [];
  let current = '';
  let open = false;
  const close = (): void => {
    if (open) fields.push(current);
    current = '';
    open = false;
  };
  for (const piece of pieces) {
    if (piece.quoted || !piece.split) {
      current += piece.quoted ? escapePattern(piece.text) : piece.text;
      if (piece.quoted || piece.text !== '') open = true;
    } else {
      for (const c of piece.text) {
        if (!separators.includes(c)) {
          current += c === '\\' ? '\\\\' : c;
          open = true;
        } else if (c.trim() === '') close();
        else {
          open = true;
          close();
        }
      }
    }
    if (piece.breakAfter) close();
  }
  close();
  return fields;
}

function matchPaths(pattern: string, host: ExpansionHost): string[] {
  const absolute = pattern.startsWith('/');
  let found = [absolute ? '/' : ''];
  for (const segment of pattern.split('/').filter((s) => s !== '')) {
    found = found.flatMap((base) => {
      const directory = posix.resolve(host.directory, base === '' ? '.' : base);
      const names = hasPattern(segment)
        ? host.files
            .list(directory)
            .filter(
              (name) => (!name.startsWith('.') || segment.startsWith('.')) && matchesPattern(segment, name),
            )
        : [unescapePattern(segment)].filter((name) => host.files.exists(posix.join(directory, name)));
      return names.map((name) => (base === '' ? name : posix.join(base, name)));
    });
  }
  return found.filter((path) => path !== '');
}
