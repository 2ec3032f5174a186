import { posix } from 'node:path';
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
    if (to === path || to.startsWith(`${path}/`)) return `'${name}' and '${last}' are the same file`;
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
