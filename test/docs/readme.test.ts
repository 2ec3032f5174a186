import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa, execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Block, commandsOf, fencedBlocks, namedPaths, shapeOf } from './markdown.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const documents = ['README.md', 'ARCHITECTURE.md', ...globSync('docs/*.md', { cwd: root })];
const COMMAND_LANGUAGES = ['sh', 'bash', 'shell', 'console'];
const commandBlocks = (path: string): Block[] =>
  fencedBlocks(read(path)).filter((block) => COMMAND_LANGUAGES.includes(block.language));

// A network of its own, because the README's addresses are the defaults, which a lab of this machine may hold; and
// processes of its own, so that none outlives the session whatever happens in it.
const isolation = [
  ...['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ...(process.getuid?.() === 0 ? [] : ['--map-root-user']),
];
const isolated = (...argv: string[]): [string, string[]] => [isolation[0]!, [...isolation.slice(1), ...argv]];
const canIsolate = execaSync(...isolated('ip', 'link', 'set', 'lo', 'up'), { reject: false }).exitCode === 0;
const missing = [
  ...(canIsolate ? [] : ['unshare and ip, as root']),
  ...['bash', 'kubectl', 'curl'].filter(
    (name) => execaSync('which', [name], { reject: false }).exitCode !== 0,
  ),
];

/** npm's own commands: the tests are these tests, the benchmarks take minutes. Only `npm start` is run. */
const NPM_SCRIPT = /^\s*npm (?:run (?:--silent )?([\w:]+)|(test|start))\b(?! *[|;&])/;

describe.skipIf(missing.length > 0)(
  `commands of README.md${missing.length ? ` (needs ${missing.join(', ')})` : ''}`,
  () => {
    const blocks = commandBlocks('README.md');
    const results = new Map<number, { exitCode: number; text: string }>();
    let home: string;

    beforeAll(async () => {
      home = mkdtempSync(join(tmpdir(), 'podwire-readme-'));
      const file = join(home, 'readme.sh');
      writeFileSync(file, sessionScript(blocks));
      // What is not installed yet cannot be from within.
      await execa('node', [join(root, 'scripts', 'run.mjs'), 'setup']);
      const log = join(home, 'readme.log');
      await execa(...isolated('bash', file), {
        cwd: root,
        stdio: ['ignore', { file: log, append: true }, { file: log, append: true }],
        reject: false,
        timeout: 240_000,
        // As a person's new home would be; npm still finds its settings.
        env: { HOME: home, PODWIRE_HOME: undefined, KUBECONFIG: undefined, npm_config_userconfig: npmrc() },
      });
      let line = 0;
      let text: string[] = [];
      for (const printed of readFileSync(log, 'utf8').split('\n')) {
        const mark = /^::(begin|end) (\d+) ?(\d*)$/.exec(printed);
        if (mark?.[1] === 'begin') [line, text] = [Number(mark[2]), []];
        else if (mark) results.set(Number(mark[2]), { exitCode: Number(mark[3]), text: text.join('\n') });
        else text.push(printed);
      }
      // The block that hung or ended the whole session has no end mark.
      if (line !== 0 && !results.has(line)) results.set(line, { exitCode: -1, text: text.join('\n') });
    }, 300_000);

    afterAll(() => rmSync(home, { recursive: true, force: true }));

    it('has command blocks', () => expect(blocks.length).toBeGreaterThan(0));

    for (const block of blocks) {
      const title = `line ${block.line}: ${block.text.trim().split('\n')[0]}`;
      it.skipIf(block.notRun)(block.notRun ? `${title} (not run: ${block.notRun})` : title, () => {
        const result = results.get(block.line);
        expect(result, 'an earlier block ended the session').toBeDefined();
        if (result!.exitCode !== 0) throw new Error(`exit code ${result!.exitCode}:\n${result!.text}`);
        const printed = new Set(result!.text.split('\n').map(shapeOf));
        const shown = commandsOf(block).output.filter((line) => !/^\s*(?:…|\.\.\.)\s*$/.test(line));
        expect(shown.filter((line) => !printed.has(shapeOf(line)))).toEqual([]);
      });
    }
  },
);

describe('what the documents name', () => {
  it('npm scripts exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const wrong = documents.flatMap((path) =>
      commandBlocks(path).flatMap((block) =>
        commandsOf(block)
          .script.split('\n')
          .map((line) => NPM_SCRIPT.exec(line))
          .filter((match) => match !== null)
          .filter(([, run, plain]) => scripts[run ?? plain!] === undefined)
          .map(([text]) => `${path}:${block.line}: ${text}`),
      ),
    );
    expect(wrong).toEqual([]);
  });

  it('benchmarks exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const benches = Object.entries(scripts).filter(([name]) => name.startsWith('bench:'));
    const wrong = benches.filter(([, command]) => {
      const name = / bench (\S+)$/.exec(command)?.[1];
      return name === undefined || !existsSync(join(root, 'test', 'bench', `${name}.ts`));
    });
    expect(wrong).toEqual([]);
  });

  for (const path of documents) {
    it(`files of ${path} exist`, () => {
      const folders = globSync('*/', { cwd: root }).map((folder) => folder.replace(/\/$/, ''));
      const sources = new Set(
        globSync('{packages,test,scripts,proto,deploy}/**/*', {
          cwd: root,
          exclude: (name) => name.includes('node_modules'),
        }).map((file) => basename(file)),
      );
      const wrong = namedPaths(read(path)).filter(({ text, link }) => {
        if (/^(?:[a-z]+:|#|\/|~|\$)/.test(text)) return false;
        const name = text.replace(/[#:].*$/, '').replace(/[.,;]$/, '');
        if (link) return !existsSync(join(root, dirname(path), name));
        if (
          name.includes('/') &&
          !/[<>=]|[A-Z]{3}/.test(name) &&
          folders.includes(name.replace(/^\.\//, '').split('/')[0]!)
        )
          return globSync(name.replace(/^\.\//, ''), { cwd: root }).length === 0;
        return (
          /^[a-z][\w.-]*\.(?:ts|mjs|proto|svg)$/.test(name) &&
          !sources.has(name) &&
          !existsSync(join(root, 'docs', name))
        );
      });
      expect(wrong.map(({ text, line }) => `${path}:${line}: ${text}`)).toEqual([]);
    });
  }

  it('docs/dependencies.md has every dependency, and no other', () => {
    const used = new Set<string>();
    for (const path of [
      'package.json',
      'test/package.json',
      ...globSync('packages/*/package.json', { cwd: root }),
    ]) {
      const { dependencies, devDependencies } = JSON.parse(read(path)) as Record<
        string,
        Record<string, string>
      >;
      for (const name of Object.keys({ ...dependencies, ...devDependencies }))
        if (!name.startsWith('@podwire/')) used.add(name);
    }
    const rows = read('docs/dependencies.md').matchAll(/^\| ([^|]+?) \|/gm);
    const named = new Set(
      [...rows]
        .slice(1)
        .flatMap(([, cell]) => cell!.split(','))
        .map((name) => name.replace(/\(.*\)|`/g, '').trim())
        .filter((name) => name !== '' && !/^-+$/.test(name)),
    );
    // Types of a library that is named need no line of their own.
    const isNamed = (name: string): boolean =>
      named.has(name) || (name.startsWith('@types/') && named.has(name.slice('@types/'.length)));
    expect({
      unnamed: [...used].filter((name) => !isNamed(name)),
      unused: [...named].filter((name) => !used.has(name)),
    }).toEqual({ unnamed: [], unused: [] });
  });
});

/** All blocks in one shell, as a reader would type them, with marks around each; the first that fails ends it. */
function sessionScript(blocks: Block[]): string {
  const lines = ['ip link set lo up || exit 1', `cd '${root}'`];
  for (const block of blocks) {
    if (block.notRun) continue;
    const script = commandsOf(block)
      .script.split('\n')
      .filter((line) => !NPM_SCRIPT.test(line) || /^\s*npm start\b/.test(line));
    // Not a subshell: what a block exports, the next one uses.
    lines.push(
      `echo '::begin ${block.line}'`,
      `trap 'code=$?; echo "::end ${block.line} $code"' EXIT`,
      'set -e',
    );
    lines.push(...script, 'set +e', `trap - EXIT`, `echo '::end ${block.line} 0'`);
  }
  return `${lines.join('\n')}\n`;
}

function npmrc(): string {
  return process.env.npm_config_userconfig ?? join(homedir(), '.npmrc');
}
