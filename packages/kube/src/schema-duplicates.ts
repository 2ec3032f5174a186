/**
 * Finds members that a JSON text repeats, which `JSON.parse` hides: `duplicate field "spec.replicas"`.
 * The text must be valid JSON; on any other it stops early and reports what it saw.
 */
interface Level {
  readonly path: string;
  /** Names seen in an object; undefined for an array. */
  readonly names: Set<string> | undefined;
  index: number;
  name: string;
}

function skipString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === '"') return i + 1;
  }
  return text.length;
}

function pathOf(level: Level | undefined): string {
  if (!level) return '';
  if (!level.names) return `${level.path}[${level.index}]`;
  return level.path === '' ? level.name : `${level.path}.${level.name}`;
}

/** Each repeated path once, in the order met; one scan, no recursion. */
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
