import { spawnSync } from 'node:child_process';
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

  test('node:http has a stand-in with all that our code imports from it, which does not load undici', () => {
    expect(locate('node:http', urlOf('agent/src/agent.ts'))).toBe(urlOf('boot/src/node-http.ts'));
    expect(locate('node:http', 'file:///elsewhere/node_modules/a/index.js')).toBeUndefined();
    const names = new Set<string>();
    for (const file of globSync('*/src/**/*.ts', { cwd: packages })) {
      const text = readFileSync(join(packages, file), 'utf8');
      for (const [, list] of text.matchAll(/^import \{([^}]+)\} from 'node:http';/gm))
        for (const name of list!.split(','))
          if (!/^\s*(type\b|$)/.test(name)) names.add(name.trim().split(' ')[0]!);
    }
    const script = `
      await import(${JSON.stringify(urlOf('boot/src/fast-imports.ts'))});
      const http = await import(${JSON.stringify(urlOf('boot/test/http-importer.ts'))});
      const missing = ${JSON.stringify([...names])}.filter((name) => http[name] === undefined);
      const undici = process.moduleLoadList.filter((name) => name.includes('undici'));
      process.stdout.write(JSON.stringify({ missing, undici, same: http.Agent === process.getBuiltinModule('node:http').Agent }));`;
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
      encoding: 'utf8',
    });
    expect(names.size).toBeGreaterThan(2);
    expect({ stdout, stderr }).toEqual({ stdout: '{"missing":[],"undici":[],"same":true}', stderr: '' });
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
