import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Who may import whom: the one direction of dependency of ARCHITECTURE.md. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  boot: [],
  wire: [],
  netstack: ['wire'],
  dataplane: ['wire'],
  kube: [],
  compile: ['kube', 'dataplane', 'wire'],
  sync: ['kube'],
  store: ['kube'],
  workload: ['netstack', 'wire', 'kube'],
  controller: ['boot', 'store', 'sync', 'kube', 'wire'],
  agent: ['boot', 'dataplane', 'netstack', 'compile', 'sync', 'workload', 'kube', 'wire'],
  coredns: ['boot', 'kube', 'sync', 'netstack', 'wire'],
  cli: [],
  testkit: [],
};

/** Packages whose code gets time and randomness as arguments; a default parameter would hide a second source. */
const PURE = ['wire', 'dataplane', 'compile'];

interface Import {
  file: string;
  from: string;
  specifier: string;
}

function imports(): Import[] {
  const found: Import[] = [];
  for (const file of globSync('packages/*/src/**/*.ts', { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const match of text.matchAll(
      /^(?:import|export)\b[^;]*?\bfrom '([^'\n]+)'|\bimport\('([^'\n]+)'\)/gm,
    )) {
      found.push({ file, from: file.split(sep)[1]!, specifier: (match[1] ?? match[2])! });
    }
  }
  return found;
}

describe('the one direction of dependency', () => {
  const all = imports();

  it('sees the sources', () => {
    expect(all.length).toBeGreaterThan(100);
    expect(new Set(all.map((i) => i.from))).toEqual(
      new Set(Object.keys(MAY_IMPORT).filter((p) => p !== 'testkit')),
    );
  });

  it('imports only packages below', () => {
    const wrong = all.filter(({ from, specifier }) => {
      const match = /^@podwire\/([a-z]+)/.exec(specifier);
      return match !== null && match[1] !== from && !MAY_IMPORT[from]?.includes(match[1]!);
    });
    expect(wrong).toEqual([]);
  });

  it('reaches into no other package by a relative path', () => {
    const wrong = all.filter(({ file, from, specifier }) => {
      if (!specifier.startsWith('.')) return false;
      const target = relative(root, join(root, dirname(file), specifier));
      return !target.startsWith(join('packages', from, 'src'));
    });
    expect(wrong).toEqual([]);
  });

  it('names a file in every relative import and has no barrel files', () => {
    expect(
      all.filter(({ specifier }) => specifier.startsWith('.') && !/\.(ts|json|js)$/.test(specifier)),
    ).toEqual([]);
    expect(globSync('packages/*/src/**/{index,utils,util,helpers}.ts', { cwd: root })).toEqual([]);
  });

  it('declares in package.json what it imports', () => {
    const missing = all.filter(({ from, specifier }) => {
      if (
        specifier.startsWith('.') ||
        specifier.startsWith('node:') ||
        specifier.startsWith(`@podwire/${from}/`)
      )
        return false;
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      const manifest = JSON.parse(readFileSync(join(root, 'packages', from, 'package.json'), 'utf8')) as {
        dependencies?: Record<string, string>;
      };
      return manifest.dependencies?.[name] === undefined;
    });
    expect(missing).toEqual([]);
  });

  it('declares in package.json nothing that neither sources nor tests import', () => {
    const unused = globSync('{packages/*,test}/package.json', { cwd: root }).flatMap((path) => {
      const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, path), 'utf8')) as Record<
        string,
        Record<string, string>
      >;
      const text = globSync(`${dirname(path)}/**/*.ts`, { cwd: root, exclude: ['**/node_modules/**'] })
        .map((file) => readFileSync(join(root, file), 'utf8'))
        .join('\n');
      return Object.keys({ ...dependencies, ...devDependencies })
        .filter((name) => !text.includes(`'${name}`))
        .map((name) => `${path}: ${name}`);
    });
    expect(unused).toEqual([]);
  });

  it('keeps clocks, randomness and sockets out of the pure packages', () => {
    const wrong: string[] = [];
    for (const name of PURE) {
      for (const file of globSync(`packages/${name}/src/**/*.ts`, { cwd: root })) {
        const code = readFileSync(join(root, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
        for (const banned of [
          /\bMath\.random\b/,
          /\bDate\.now\b/,
          /\bperformance\.now\b/,
          /\bsetTimeout\b/,
          /'node:(net|dgram|http|https|tls|fs|child_process)'/,
        ]) {
          if (banned.test(code)) wrong.push(`${file}: ${banned.source}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });
});
