import { describe, expect, test } from 'vitest';
import { Files, type SharedVolume } from '../src/shell/files.ts';

const text = (files: Files, path: string): string | undefined => files.read(path)?.toString();

describe('the files of a container', () => {
  test('a mounted file shows its updates until the container writes its own', () => {
    const mounted = new Map([['/etc/config/key', 'one']]);
    const files = new Files({ mounted });
    mounted.set('/etc/config/key', 'two');
    expect(text(files, '/etc/config/key')).toBe('two');
    expect(files.list('/etc/config')).toEqual(['key']);
    files.write('/etc/config/key', Buffer.from('!'), true);
    expect(text(files, '/etc/config/key')).toBe('two!');
  });

  test('containers share the volumes they are given', () => {
    const volume: SharedVolume = new Map();
    const a = new Files({ volumes: new Map([['/data', volume]]) });
    const b = new Files({ volumes: new Map([['/results/', volume]]) });
    expect(b.isDirectory('/results')).toBe(true);
    a.makeDirectory('/data/sub');
    a.write('/data/sub/f', Buffer.from('x'));
    expect(text(b, '/results/sub/f')).toBe('x');
    expect(b.isDirectory('/results/sub')).toBe(true);
    expect(b.list('/results')).toEqual(['sub']);
    expect(b.remove('/results/sub')).toBe(true);
    expect(a.read('/data/sub/f')).toBeUndefined();
  });

  test('refuses what a file system refuses', () => {
    const files = new Files();
    const write =
      (path: string, bytes = 1) =>
      () =>
        files.write(path, new Uint8Array(bytes));
    expect(write('/none/f')).toThrow('No such file or directory');
    expect(write('/tmp')).toThrow('Is a directory');
    expect(write('/tmp/f/g')).toThrow('No such file or directory');
    expect(write('/tmp/big', 17 * 2 ** 20)).toThrow('No space left on device');
    expect(new Files({ image: new Map([['/etc/os-release', 'x']]) }).remove('/etc/os-release')).toBe(false);
    const lenient = new Files({ makesParents: true });
    lenient.write('/data/a/b', Buffer.from('x'));
    expect(lenient.isDirectory('/data/a')).toBe(true);
    expect(() => lenient.write('/data/a/b/c', Buffer.from('x'))).toThrow('No such file or directory');
  });
});
