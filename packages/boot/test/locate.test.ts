import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { locate } from '../src/locate.ts';

const packages = join(import.meta.dirname, '../..');
const urlOf = (path: string) => pathToFileURL(join(packages, path)).href;

describe('locate', () => {
  test('a relative import is beside its importer', () => {
    const parent = urlOf('agent/src/pods/container.ts');
    expect(locate('./status.ts', parent)).toBe(urlOf('agent/src/pods/status.ts'));
    expect(locate('../timer.ts', parent)).toBe(urlOf('agent/src/timer.ts'));
  });

  test('an import of a package is where the package exports it', () => {
    const parent = urlOf('agent/src/agent.ts');
    expect(locate('@podwire/wire/ipv4', parent)).toBe(urlOf('wire/src/ipv4.ts'));
    expect(locate('@podwire/kube/patch/json-patch', parent)).toBe(urlOf('kube/src/patch/json-patch.ts'));
    for (const file of globSync('*/package.json', { cwd: packages })) {
      const manifest = JSON.parse(readFileSync(join(packages, file), 'utf8'));
      expect(manifest.exports, file).toEqual({ './*': './src/*.ts' });
    }
  });

  test('everything else is left to Node', () => {
    const parent = urlOf('agent/src/agent.ts');
    for (const specifier of [
      'node:fs',
      'ws',
      'protobufjs/minimal.js',
      '@peculiar/x509',
      './data.json',
      '@podwire/wire',
    ])
      expect(locate(specifier, parent), specifier).toBeUndefined();
    expect(locate('./lib/x.ts', 'file:///elsewhere/node_modules/a/index.js')).toBeUndefined();
    expect(locate('./main.ts', undefined)).toBeUndefined();
  });

  test('agrees with Node on every import of this repository', () => {
    const disagreeing: string[] = [];
    let seen = 0;
    for (const file of globSync('*/src/**/*.ts', { cwd: packages })) {
      const parent = urlOf(file);
      for (const [, specifier] of readFileSync(join(packages, file), 'utf8').matchAll(
        /\b(?:from|import\()\s*'(\.[^']+|@podwire\/[^']+)'/g,
      )) {
        seen++;
        if (locate(specifier!, parent) !== import.meta.resolve(specifier!, parent))
          disagreeing.push(`${file}: ${specifier}`);
      }
    }
    expect(seen).toBeGreaterThan(500);
    expect(disagreeing).toEqual([]);
  });
});
