import type { Word } from './syntax.ts';

const MAX_WORDS = 10_000;

/** bash's brace expansion within one unquoted literal: `a{b,c}d`, `{1..5}`, `{a..e}`, `{0..20..5}`. */
export function expandBraces(word: Word): Word[] {
  for (const [index, part] of word.entries()) {
    if (part.type !== 'literal' || part.quoted) continue;
    const texts = alternativesOf(part.text);
    if (!texts) continue;
    const words = texts
      .slice(0, MAX_WORDS)
      .map((text) => [
        ...word.slice(0, index),
        { type: 'literal' as const, text, quoted: false },
        ...word.slice(index + 1),
      ]);
    return words.length < MAX_WORDS ? words.flatMap(expandBraces) : words;
  }
  return [word];
}

function alternativesOf(text: string): string[] | undefined {
  for (let open = text.indexOf('{'); open >= 0; open = text.indexOf('{', open + 1)) {
    const commas: number[] = [];
    let depth = 0;
    let close = -1;
    for (let i = open; i < text.length; i++) {
      if (text[i] === '{') depth++;
      else if (text[i] === ',' && depth === 1) commas.push(i);
      else if (text[i] === '}' && --depth === 0) {
        close = i;
        break;
      }
    }
    if (close < 0) continue;
    const [before, after] = [text.slice(0, open), text.slice(close + 1)];
    if (commas.length > 0) {
      const edges = [open, ...commas, close];
      return edges.slice(1).map((edge, i) => before + text.slice(edges[i]! + 1, edge) + after);
    }
    const items = sequence(text.slice(open + 1, close));
    if (items) return items.map((item) => before + item + after);
  }
  return undefined;
}

function sequence(text: string): string[] | undefined {
  const match = /^(?:(-?\d{1,9})\.\.(-?\d{1,9})|([A-Za-z])\.\.([A-Za-z]))(?:\.\.(-?\d{1,9}))?$/.exec(text);
  if (!match) return undefined;
  const letters = match[3] !== undefined;
  const from = letters ? match[3]!.charCodeAt(0) : Number(match[1]);
  const to = letters ? match[4]!.charCodeAt(0) : Number(match[2]);
  const step = Math.max(1, Math.abs(Number(match[5] ?? 1)));
  const padded = !letters && /^-?0\d/.test(match[1]!) ? match[1]!.length : 0;
  const items: string[] = [];
  const count = Math.min(Math.floor(Math.abs(to - from) / step) + 1, MAX_WORDS);
  for (let i = 0; i < count; i++) {
    const value = from + (to < from ? -i : i) * step;
    items.push(letters ? String.fromCharCode(value) : String(value).padStart(padded, '0'));
  }
  return items;
}
