import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, expect, test } from 'vitest';
import { Store } from '../src/store.ts';

const directory = mkdtempSync(join(tmpdir(), 'durability-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Runs the writer on `path` until it has told of `count` acknowledged writes, kills it mid-write, and returns what it told. */
async function killAfter(path: string, round: number, count: number): Promise<Map<string, string>> {
  const writer = spawn(
    process.execPath,
    [join(import.meta.dirname, 'writer-process.ts'), path, String(round)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const acknowledged = new Map<string, string>();
  let lines = 0;
  for await (const line of createInterface(writer.stdout)) {
    const [name, resourceVersion] = line.split(' ');
    if (resourceVersion === undefined) continue;
    acknowledged.set(name!, resourceVersion);
    if (++lines === count) writer.kill('SIGKILL');
  }
  expect(lines).toBeGreaterThanOrEqual(count);
  return acknowledged;
}

test('every acknowledged write is there after SIGKILL, round after round', async () => {
  const path = join(directory, 'store.db');
  const all = new Map<string, string>();
  for (const round of [1, 2, 3]) {
    for (const [name, revision] of await killAfter(path, round, 150 * round)) all.set(name, revision);
    const store = Store.open(path);
    let highest = 0;
    for (const [name, revision] of all) {
      const object = store.get('configmaps', 'default', name);
      // A later write of the same name may have become durable without its acknowledgement reaching us.
      expect(Number(object?.metadata.resourceVersion), name).toBeGreaterThanOrEqual(Number(revision));
      highest = Math.max(highest, Number(revision));
    }
    expect(store.revision).toBeGreaterThanOrEqual(highest);
    const replayed: number[] = [];
    store.watch({ since: store.compactedRevision }, (event) => replayed.push(event.revision));
    expect(replayed).toEqual(
      Array.from(
        { length: store.revision - store.compactedRevision },
        (_, i) => store.compactedRevision + 1 + i,
      ),
    );
    store.close();
  }
});
