/**
 * Finds members that a JSON text repeats, which `JSON.parse` hides: `duplicate field "spec.replicas"`.
 * The text must be valid JSON; on any other it stops early and reports what it saw.
 */

/** Deeper than any object is; code that walks objects may then recurse. */
export const MAX_JSON_DEPTH = 1000;

interface Level {
  readonly path: string;
  /** Names seen in an object; undefined for an array. */
  readonly names: Set<string> | undefined;
  index: number;
  name: string;
}

function skipString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x5c) i++;
    else if (code === 0x22) return i + 1;
  }
  return text.length;
}

function pathOf(level: Level | undefined): string {
  if (!level) return '';
  if (!level.names) return `${level.path}[${level.index}]`;
  return level.path === '' ? level.name : `${level.path}.${level.name}`;
}

/**
 * Each repeated path once, in the order met; one scan, no recursion. Throws SyntaxError for nesting deeper than
 * MAX_JSON_DEPTH.
 */
export function duplicateFields(text: string): string[] {
  const found = new Set<string>();
  const levels: Level[] = [];
  let expectName = false;
  for (let i = 0; i < text.length; ) {
    const character = text[i];
    const level = levels.at(-1);
    if (character === '"') {
      const end = skipString(text, i);
      if (expectName && level?.names) {
        try {
          level.name = String(JSON.parse(text.slice(i, end)));
        } catch {
          return [...found];
        }
        if (level.names.has(level.name)) found.add(`duplicate field ${JSON.stringify(pathOf(level))}`);
        level.names.add(level.name);
        expectName = false;
      }
      i = end;
      continue;
    }
    if (levels.length > MAX_JSON_DEPTH) throw new SyntaxError('exceeded max depth');
    if (character === '{') {
      levels.push({ path: pathOf(level), names: new Set(), index: 0, name: '' });
      expectName = true;
    } else if (character === '[') {
      levels.push({ path: pathOf(level), names: undefined, index: 0, name: '' });
      expectName = false;
    } else if (character === '}' || character === ']') {
      levels.pop();
      expectName = false;
    } else if (character === ',' && level) {
      level.index++;
      expectName = level.names !== undefined;
    }
    i++;
  }
  return [...found];
}
