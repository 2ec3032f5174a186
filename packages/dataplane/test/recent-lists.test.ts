import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import { AffinityMap } from '../src/service/affinity-map.ts';
import { RecentLists } from '../src/service/recent-lists.ts';
import { udp } from './cluster.ts';

const from = (n: number): Packet => {
  const packet = new Packet();
  packet.decode(udp(`10.244.${n >> 8}.${n & 255}`, 1, '10.96.0.9', 2));
  return packet;
};

describe('-m recent', () => {
  it('knows a client for the window after it was set; asking does not prolong it', () => {
    const lists = new RecentLists();
    lists.set('A', from(1), 0);
    expect(lists.check('A', from(1), 10, 9000)).toBe(true);
    expect(lists.check('B', from(1), 10, 9000)).toBe(false);
    expect(lists.check('A', from(2), 10, 9000)).toBe(false);
    expect(lists.check('A', from(1), 10, 10_000)).toBe(true);
    expect(lists.check('A', from(1), 10, 10_001)).toBe(false);
    expect(lists.size, '--reap left nothing').toBe(0);
  });

  it('keeps a hundred clients, and who was set longest ago goes first', () => {
    const lists = new RecentLists();
    for (let n = 0; n < 99; n++) lists.set('A', from(n), n);
    lists.set('A', from(0), 99);
    lists.set('A', from(99), 100);
    lists.set('A', from(100), 101);
    expect([0, 1, 2, 100].map((n) => lists.check('A', from(n), 1000, 102))).toEqual([
      true,
      false,
      true,
      true,
    ]);
    // Reaping goes by the last set, too.
    expect(lists.check('A', from(0), 1, 1099)).toBe(true);
    expect(lists.check('A', from(2), 1, 1099)).toBe(false);
  });

  it('forgets lists that no rule names', () => {
    const lists = new RecentLists();
    lists.set('A', from(1), 0);
    lists.set('B', from(1), 0);
    lists.retain((name) => name === 'B');
    expect([lists.check('A', from(1), 10, 1), lists.check('B', from(1), 10, 1)]).toEqual([false, true]);
  });
});

describe('cilium_lb4_affinity', () => {
  it('expires when last use plus timeout is reached, in whole seconds', () => {
    const map = new AffinityMap();
    const find = (nowMs: number): number => {
      map.ofAddress(1, 0, 0, 0xffff, 5);
      return map.find(10, nowMs);
    };
    map.ofAddress(1, 0, 0, 0xffff, 5);
    map.update(7, 1500);
    expect([find(10_999), find(11_000)]).toEqual([7, 0]);
    map.ofNetns(1, 5);
    expect(map.find(10, 1500), 'a namespace is no address').toBe(0);
  });

  it('is bounded, against a naive twin', () => {
    const random = seededRandom32(8);
    const map = new AffinityMap(100);
    const twin: { client: number; backend: number }[] = [];
    let turn = 0;
    for (let step = 0; step < 5000; step++) {
      const client = random() % 150;
      const at = twin.findIndex((entry) => entry.client === client);
      map.ofAddress(1, 0, 0, 0xffff, client);
      if (random() % 2 === 0) {
        expect(map.find(10, 0)).toBe(at < 0 ? 0 : twin[at].backend);
        continue;
      }
      const backend = 1 + (random() % 1000);
      map.update(backend, 0);
      if (at >= 0) twin[at].backend = backend;
      else if (twin.length < 100) twin.push({ client, backend });
      else {
        twin[turn] = { client, backend };
        turn = (turn + 1) % 100;
      }
      expect(map.size).toBe(twin.length);
    }
  });
});
