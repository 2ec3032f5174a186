import { posix } from 'node:path';
import { matchesPattern } from '../shell/pattern.ts';
import type { Tool, ToolContext } from '../shell/tool.ts';
import { parseOptions } from './options.ts';
import { withUsage } from './tool-files.ts';

const resolve = (context: ToolContext, name: string): string => posix.resolve(context.directory, name);

/** Runs `each` over operands; what it returns or throws is told as why that one could not be done. */
async function overOperands(
  context: ToolContext,
  operands: readonly string[],
  each: (path: string, name: string) => string | undefined,
): Promise<number> {
  if (operands.length === 0) {
    await context.stderr.write(`${context.argv[0]}: missing operand\n`);
    return 1;
  }
  let code = 0;
  for (const name of operands) {
    let problem: string | undefined;
    try {
      problem = each(resolve(context, name), name);
    } catch (error) {
      problem = `cannot write '${name}': ${(error as Error).message}`;
    }
    if (problem === undefined) continue;
    code = 1;
    await context.stderr.write(`${context.argv[0]}: ${problem}\n`);
  }
  return code;
}

export const ls: Tool = withUsage(2, async (context) => {
  const { files, stdout, stderr } = context;
  const options = parseOptions(context.argv.slice(1), 'laAh1dRtrSFip', {
    all: 'a',
    color: 'color=?',
    directory: 'd',
  });
  const names = options.operands.length > 0 ? options.operands : ['.'];
  const row = (path: string, name: string): string => {
    if (!options.has('l')) return name;
    const directory = files.isDirectory(path);
    const size = directory ? 4096 : (files.read(path)?.length ?? 0);
    const date = formatListDate(new Date(files.modifiedMs(path)));
    return `${directory ? 'drwxr-xr-x    2' : '-rw-r--r--    1'} root     root     ${String(size).padStart(9)} ${date} ${name}`;
  };
  let code = 0;
  const plain: string[] = [];
  const directories: [string, string][] = [];
  for (const name of names) {
    const path = resolve(context, name);
    if (files.isDirectory(path) && !options.has('d')) directories.push([name, path]);
    else if (files.exists(path)) plain.push(row(path, name));
    else {
      code = 2;
      await stderr.write(`ls: cannot access '${name}': No such file or directory\n`);
    }
  }
  if (plain.length > 0) await stdout.write(`${plain.join('\n')}\n`);
  for (const [index, [name, path]] of directories.entries()) {
    if (names.length > 1) await stdout.write(`${index > 0 || plain.length > 0 ? '\n' : ''}${name}:\n`);
    const entries = files
      .list(path)
      .filter((entry) => options.has('a') || options.has('A') || !entry.startsWith('.'));
    if (options.has('a')) entries.unshift('.', '..');
    if (options.has('l')) await stdout.write(`total ${entries.length * 4}\n`);
    for (const entry of entries) await stdout.write(`${row(posix.join(path, entry), entry)}\n`);
  }
  return code;
});

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

function formatListDate(date: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = String(date.getUTCDate()).padStart(2);
  return `${MONTHS[date.getUTCMonth()]} ${day} ${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
}

export const mkdir: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'pvm:', { parents: 'p' });
  return overOperands(context, options.operands, (path, name) => {
    if (context.files.exists(path) && !options.has('p'))
      return `cannot create directory '${name}': File exists`;
    if (!options.has('p') && !context.files.isDirectory(posix.dirname(path)))
      return `cannot create directory '${name}': No such file or directory`;
    context.files.makeDirectory(path);
    return undefined;
  });
});

export const touch: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'acmd:r:t:');
  return overOperands(context, options.operands, (path, name) => {
    if (context.files.exists(path) || options.has('c')) return undefined;
    if (!context.files.isDirectory(posix.dirname(path)))
      return `cannot touch '${name}': No such file or directory`;
    context.files.write(path, new Uint8Array(0));
    return undefined;
  });
});

export const rm: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'rRfvi', { recursive: 'r', force: 'f' });
  if (options.operands.length === 0 && options.has('f')) return 0;
  return overOperands(context, options.operands, (path, name) => {
    if (!context.files.exists(path))
      return options.has('f') ? undefined : `cannot remove '${name}': No such file or directory`;
    if (context.files.isDirectory(path) && !options.has('r') && !options.has('R'))
      return `cannot remove '${name}': Is a directory`;
    return context.files.remove(path) ? undefined : `cannot remove '${name}': Read-only file system`;
  });
});

export const rmdir: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'p');
  return overOperands(context, options.operands, (path, name) => {
    const why = !context.files.exists(path)
      ? 'No such file or directory'
      : !context.files.isDirectory(path)
        ? 'Not a directory'
        : context.files.list(path).length > 0
          ? 'Directory not empty'
          : undefined;
    if (why) return `failed to remove '${name}': ${why}`;
    context.files.remove(path);
    return undefined;
  });
});

/** cp and mv: files only, into a directory or to a name. */
const transfer: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'afprRvnT', { recursive: 'r' });
  const moving = context.argv[0]!.endsWith('mv');
  const names = [...options.operands];
  const last = names.pop();
  if (last === undefined || names.length === 0) {
    await context.stderr.write(
      `${context.argv[0]}: missing ${last === undefined ? 'file operand' : `destination file operand after '${last}'`}\n`,
    );
    return 1;
  }
  const target = resolve(context, last);
  const intoDirectory = context.files.isDirectory(target);
  const recursive = moving || options.has('r') || options.has('R') || options.has('a');
  const copy = (from: string, to: string): void => {
    if (!context.files.isDirectory(from)) return void context.files.write(to, context.files.read(from)!);
    context.files.makeDirectory(to);
    for (const entry of context.files.list(from)) copy(posix.join(from, entry), posix.join(to, entry));
  };
  return overOperands(context, names, (path, name) => {
    if (!context.files.exists(path)) return `cannot stat '${name}': No such file or directory`;
    if (context.files.isDirectory(path) && !recursive)
      return `-r not specified; omitting directory '${name}'`;
    const to = intoDirectory ? posix.join(target, posix.basename(path)) : target;
    if (path === '/' || to === path || to.startsWith(`${path}/`))
      return `'${name}' and '${last}' are the same file`;
    copy(path, to);
    if (moving && !context.files.remove(path)) return `cannot remove '${name}': Read-only file system`;
    return undefined;
  });
});

export const cp = transfer;
export const mv = transfer;

export const basename: Tool = async ({ argv, stdout, stderr }) => {
  if (argv.length < 2) {
    await stderr.write('basename: missing operand\n');
    return 1;
  }
  const name = posix.basename(argv[1]!);
  const suffix = argv[2] ?? '';
  await stdout.write(
    `${suffix !== '' && name !== suffix && name.endsWith(suffix) ? name.slice(0, -suffix.length) : name || '/'}\n`,
  );
  return 0;
};

export const dirname: Tool = async ({ argv, stdout, stderr }) => {
  if (argv.length < 2) {
    await stderr.write('dirname: missing operand\n');
    return 1;
  }
  for (const name of argv.slice(1)) await stdout.write(`${posix.dirname(name)}\n`);
  return 0;
};

export const readlink: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'fem');
  if (!options.has('f') && !options.has('e') && !options.has('m')) return 1;
  return overOperands(context, options.operands, (path) => {
    void context.stdout.write(`${path}\n`);
    return undefined;
  });
});

export const mktemp: Tool = withUsage(1, async (context) => {
  const options = parseOptions(context.argv.slice(1), 'dup:t', { directory: 'd' });
  const template = options.operands[0] ?? posix.join(options.get('p') ?? '/tmp', 'tmp.XXXXXXXXXX');
  const name = template.replace(/X{3,}$/, (places) =>
    Array.from(
      places,
      () => 'abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789'[context.random32() % 57],
    ).join(''),
  );
  const path = resolve(context, name);
  if (options.has('d')) context.files.makeDirectory(path);
  else if (!options.has('u')) context.files.write(path, new Uint8Array(0));
  await context.stdout.write(`${name}\n`);
  return 0;
});

/** find with -name, -iname, -type, -maxdepth. */
export const find: Tool = async (context) => {
  const words = context.argv.slice(1);
  const first = words.findIndex((word) => word.startsWith('-'));
  const roots = first < 0 ? words : words.slice(0, first);
  const tests: ((path: string) => boolean)[] = [];
  let maxDepth = Infinity;
  for (let i = Math.max(0, first); first >= 0 && i < words.length; i++) {
    const value = words[i + 1] ?? '';
    if (words[i] === '-name') tests.push((path) => matchesPattern(value, posix.basename(path)));
    else if (words[i] === '-iname')
      tests.push((path) => matchesPattern(value.toLowerCase(), posix.basename(path).toLowerCase()));
    else if (words[i] === '-type') tests.push((path) => context.files.isDirectory(path) === (value === 'd'));
    else if (words[i] === '-maxdepth') maxDepth = Number(value);
    else if (words[i] === '-print') continue;
    else {
      await context.stderr.write(`find: unknown predicate '${words[i]}'\n`);
      return 1;
    }
    i++;
  }
  let code = 0;
  const visit = async (shown: string, path: string, depth: number): Promise<void> => {
    if (tests.every((test) => test(path))) await context.stdout.write(`${shown}\n`);
    if (depth >= maxDepth || !context.files.isDirectory(path)) return;
    for (const name of context.files.list(path))
      await visit(shown === '/' ? `/${name}` : `${shown}/${name}`, posix.join(path, name), depth + 1);
  };
  for (const root of roots.length > 0 ? roots : ['.']) {
    const path = resolve(context, root);
    if (context.files.exists(path)) await visit(root.replace(/(.)\/+$/, '$1'), path, 0);
    else {
      code = 1;
      await context.stderr.write(`find: '${root}': No such file or directory\n`);
    }
  }
  return code;
};
