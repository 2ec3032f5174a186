/** A fenced code block of a Markdown file. */
export interface Block {
  /** `sh`, `console`, … */
  language: string;
  /** Line of the opening fence, from 1. */
  line: number;
  text: string;
  /** Why it is not run, from a comment `<!-- not-run: reason -->` on the last line of text before it. */
  notRun?: string;
}

export function fencedBlocks(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; block: Block; body: string[] } | undefined;
  let notRun: string | undefined;
  for (const [i, line] of markdown.split('\n').entries()) {
    const fence = /^\s*(`{3,}|~{3,})\s*(\S*)/.exec(line);
    if (open) {
      if (fence?.[2] === '' && fence[1]!.startsWith(open.fence)) {
        blocks.push({ ...open.block, text: open.body.join('\n') });
        open = undefined;
      } else open.body.push(line);
    } else if (fence) {
      const block: Block = { language: fence[2]!, line: i + 1, text: '', ...(notRun && { notRun }) };
      open = { fence: fence[1]!, block, body: [] };
      notRun = undefined;
    } else if (line.trim() !== '') notRun = /<!--\s*not-run:\s*(.+?)\s*-->/.exec(line)?.[1];
  }
  if (open) throw new Error(`line ${open.block.line}: the code block is never closed`);
  return blocks;
}

/** The shell script of a command block, and the lines of output that it shows. */
export function commandsOf(block: Block): { script: string; output: string[] } {
  const lines = block.text.split('\n');
  if (!lines.some((line) => line.startsWith('$ '))) return { script: block.text, output: [] };
  const script: string[] = [];
  const output: string[] = [];
  let continues = false;
  for (const line of lines) {
    if (line.startsWith('$ ')) script.push(line.slice(2));
    else if (continues) script.push(line.replace(/^> /, ''));
    else if (line.trim() !== '') output.push(line);
    continues = (line.startsWith('$ ') || continues) && line.endsWith('\\');
  }
  return { script: script.join('\n'), output };
}

/** A line with what differs from run to run (numbers, names made by chance, column widths) made equal. */
export function shapeOf(line: string): string {
  return line
    .replace(/-[a-z0-9]{8,10}-[a-z0-9]{5}\b/g, '-#-#')
    .replace(/\b[0-9a-f]{8,}\b/g, '#')
    .replace(/\d+(?:[.:]\d+)*/g, '#')
    .replace(/[─-]{2,}/g, '--')
    .replace(/\s+/g, ' ')
    .trim();
}

/** Words in backticks and targets of links, of the text outside code blocks. */
export function namedPaths(markdown: string): { text: string; line: number; link: boolean }[] {
  const found: { text: string; line: number; link: boolean }[] = [];
  let fence = '';
  for (const [i, line] of markdown.split('\n').entries()) {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1];
    if (mark && (fence === '' || mark.startsWith(fence))) {
      fence = fence === '' ? mark : '';
      continue;
    }
    if (fence !== '') continue;
    for (const [, code] of line.matchAll(/`([^`]+)`/g))
      for (const word of code!.split(/\s+/)) found.push({ text: word, line: i + 1, link: false });
    for (const [, target] of line.matchAll(/\]\(([^)\s]+)\)/g))
      found.push({ text: target!, line: i + 1, link: true });
  }
  return found;
}
