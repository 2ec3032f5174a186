import { writeSync } from 'node:fs';
import { Store } from '../src/store.ts';

// Writes without pause, a few concurrent writers, and tells each write once it is acknowledged.
const [path, round] = process.argv.slice(2);
const store = Store.open(path!, { historyLimit: 200 });

async function write(writer: number): Promise<never> {
  for (let i = 0; ; i++) {
    const name = `r${round}-w${writer}-${i % 50}`;
    const object = { metadata: { name, namespace: 'default' }, data: { text: 'x'.repeat(500), i } };
    const known = store.get('configmaps', 'default', name) !== undefined;
    const stored = await (known ? store.update('configmaps', object) : store.create('configmaps', object));
    writeSync(1, `${name} ${stored.metadata.resourceVersion}\n`);
  }
}
for (let writer = 0; writer < 4; writer++) void write(writer);
