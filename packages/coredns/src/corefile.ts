import { CorefileError, type Directive } from './plugin.ts';

/** `zone:port zone { directives }` of a Corefile. */
export interface ServerBlock {
  /** Lower case, without the final dot; '' is the root. */
  zones: string[];
  port: number;
  directives: Directive[];
}

interface Token {
  text: string;
  line: number;
}

const DEFAULT_PORT = 53;

/** Reads a Corefile. Environment variables are written `{$NAME}`. Throws CorefileError naming the line. */
export function parseCorefile(
  text: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): ServerBlock[] {
  const tokens = tokenize(text.replace(/\{\$(\w+)\}/g, (_, name: string) => environment[name] ?? ''));
  const blocks: ServerBlock[] = [];
  let at = 0;
  const lineOf = (index: number): number => tokens[index]?.line ?? tokens.at(-1)?.line ?? 1;
  while (at < tokens.length) {
    const keys: Token[] = [];
    while (at < tokens.length && tokens[at]!.text !== '{') keys.push(tokens[at++]!);
    if (at >= tokens.length)
      throw new CorefileError(
        `Corefile:${lineOf(at)} - Error during parsing: "{" expected after ${keys.map((k) => k.text).join(' ')}`,
      );
    if (keys.length === 0)
      throw new CorefileError(
        `Corefile:${lineOf(at)} - Error during parsing: a server block needs a zone before "{"`,
      );
    at++;
    const directives: Directive[] = [];
    for (;;) {
      const token = tokens[at];
      if (!token)
        throw new CorefileError(
          `Corefile:${lineOf(at)} - Error during parsing: unexpected end of file, "}" expected`,
        );
      if (token.text === '}') {
        at++;
        break;
      }
      const directive: Directive = { name: token.text, args: [], block: [], line: token.line };
      at++;
      while (at < tokens.length && tokens[at]!.line === token.line && !'{}'.includes(tokens[at]!.text))
        directive.args.push(tokens[at++]!.text);
      if (tokens[at]?.text === '{' && tokens[at]!.line === token.line) {
        at++;
        while (tokens[at] && tokens[at]!.text !== '}') {
          const first = tokens[at++]!;
          const args: string[] = [];
          while (tokens[at] && tokens[at]!.line === first.line && tokens[at]!.text !== '}')
            args.push(tokens[at++]!.text);
          directive.block.push({ name: first.text, args });
        }
        if (!tokens[at])
          throw new CorefileError(
            `Corefile:${lineOf(at)} - Error during parsing: unexpected end of file, "}" expected`,
          );
        at++;
      }
      directives.push(directive);
    }
    blocks.push(serverBlock(keys, directives));
  }
  if (blocks.length === 0) throw new CorefileError('Corefile:1 - Error during parsing: no server block');
  return blocks;
}

function serverBlock(keys: Token[], directives: Directive[]): ServerBlock {
  const zones: string[] = [];
  let port = DEFAULT_PORT;
  for (const { text, line } of keys) {
    const key = text.replace(/,$/, '').replace(/^dns:\/\//, '');
    const match = /^([^:]*)(?::(\d+))?$/.exec(key);
    if (!match || (match[2] && (Number(match[2]) < 1 || Number(match[2]) > 65535))) {
      throw new CorefileError(
        `Corefile:${line} - Error during parsing: "${text}" is not a zone with an optional port`,
      );
    }
    if (match[2]) port = Number(match[2]);
    zones.push(match[1]!.toLowerCase().replace(/\.$/, ''));
  }
  return { zones, port, directives };
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  let line = 1;
  for (let at = 0; at < text.length; ) {
    const c = text[at]!;
    if (c === '\n') {
      line++;
      at++;
    } else if (/\s/.test(c)) at++;
    else if (c === '#') {
      while (at < text.length && text[at] !== '\n') at++;
    } else if (c === '"') {
      const start = line;
      let value = '';
      for (at++; at < text.length && text[at] !== '"'; at++) {
        if (text[at] === '\\' && text[at + 1] === '"') at++;
        if (text[at] === '\n') line++;
        value += text[at];
      }
      at++;
      tokens.push({ text: value, line: start });
    } else {
      const start = at;
      while (at < text.length && !/\s/.test(text[at]!)) at++;
      tokens.push({ text: text.slice(start, at), line });
    }
  }
  return tokens;
}
