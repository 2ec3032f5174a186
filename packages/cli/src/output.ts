import { styleText } from 'node:util';

export type OutputFormat = 'table' | 'json';

/** Colour only where a person looks; `NO_COLOR` and pipes get plain text. */
export function paint(style: Parameters<typeof styleText>[0], text: string): string {
  return styleText(style, text, { stream: process.stdout, validateStream: true });
}

export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

export function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
