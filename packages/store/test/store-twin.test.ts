import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Store } from '../src/store.ts';
import type { StoreConflict, StoredObject, StoreEvent } from '../src/stored-object.ts';

/** The same promises kept naively: one Map, one array of events, everything durable at once. */
class Twin {
  revision = 0;
  readonly objects = new Map<string, StoredObject>();
  readonly events: StoreEvent[] = [];

  apply(command: Command): string | undefined {
    const { resource, namespace, name } = command;
    const key = `${resource}/${namespace}/${name}`;
    const previous = this.objects.get(key);
    if (command.verb === 'create' ? previous !== undefined : previous === undefined) {
      return command.verb === 'create' ? 'exists' : 'missing';
    }
    const expected = command.verb === 'create' ? undefined : expectation(command, previous);
    if (expected !== undefined && expected !== previous?.metadata.resourceVersion) return 'conflict';
    const resourceVersion = String(++this.revision);
    const base = command.verb === 'delete' ? previous! : body(command);
    const object = { ...base, metadata: { ...base.metadata, resourceVersion } };
    const type = command.verb === 'create' ? 'ADDED' : command.verb === 'update' ? 'MODIFIED' : 'DELETED';
    if (type === 'DELETED') this.objects.delete(key);
    else this.objects.set(key, object);
    this.events.push({ type, revision: this.revision, resource, object, ...(previous && { previous }) });
    return undefined;
  }

  list(resource: string): StoredObject[] {
    return [...this.objects]
      .filter(([key]) => key.startsWith(`${resource}/`))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }
}

interface Command {
  verb: 'create' | 'update' | 'delete';
  resource: string;
  namespace: string;
  name: string;
  value: number;
  precondition: 'none' | 'right' | 'wrong';
  endTurn: boolean;
}

const command: fc.Arbitrary<Command> = fc.record({
  verb: fc.constantFrom('create', 'update', 'delete'),
  resource: fc.constantFrom('pods', 'services'),
  namespace: fc.constantFrom('', 'a', 'b'),
  name: fc.constantFrom('x', 'y', 'z'),
  value: fc.nat(9),
  precondition: fc.constantFrom('none', 'right', 'wrong'),
  endTurn: fc.boolean(),
});

function body({ namespace, name, value }: Command): StoredObject & { value: number } {
  return { metadata: { name, ...(namespace !== '' && { namespace }) }, value };
}

function expectation({ precondition }: Command, current: StoredObject | undefined): string | undefined {
  if (precondition === 'none') return undefined;
  return precondition === 'right' ? (current?.metadata.resourceVersion ?? '1') : '0';
}

function run(store: Store, each: Command): Promise<unknown> {
  const { resource, namespace, name } = each;
  const expected = expectation(each, store.get(resource, namespace, name));
  if (each.verb === 'create') return store.create(resource, body(each));
  if (each.verb === 'update') return store.update(resource, body(each), expected);
  return store.delete(resource, namespace, name, expected);
}

test('behaves as the naive twin for any commands, batches and starting points of a watch', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 60 }), fc.nat(60), async (commands, start) => {
      const store = Store.open(':memory:', { recentLimit: 3 });
      const twin = new Twin();
      const live: StoreEvent[] = [];
      store.watch({}, (event) => live.push(event));
      const outcomes: Promise<string | undefined>[] = [];
      const expected: (string | undefined)[] = [];
      const lists: StoredObject[][] = [[]];
      for (const each of commands) {
        const revision = twin.revision;
        expected.push(twin.apply(each));
        outcomes.push(
          run(store, each).then(
            () => undefined,
            (error: StoreConflict) => error.reason,
          ),
        );
        if (twin.revision > revision) lists.push(twin.list('pods'));
        expect(store.revision).toBe(twin.revision);
        expect(store.list('pods')).toEqual(twin.list('pods'));
        if (each.endTurn) await new Promise(setImmediate);
      }
      expect(await Promise.all(outcomes)).toEqual(expected);
      expect(live).toEqual(twin.events);
      const since = Math.min(start, twin.revision);
      const replayed: StoreEvent[] = [];
      store.watch({ since }, (event) => replayed.push(event));
      expect(replayed).toEqual(twin.events.filter((event) => event.revision > since));
      expect(store.listAt('pods', undefined, since)).toEqual(lists[since]);
      store.close();
    }),
    { numRuns: 100 },
  );
});
