/** What changed between two lists of services, against the plain way to tell. */

import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { expect, it } from 'vitest';
import { diffServices } from '../src/service/service-diff.ts';
import type { ServicePort } from '../src/tables.ts';
import { service } from './cluster.ts';

it('finds what went and what came, in order, wherever it stands', () => {
  const seed = 5;
  const random32 = seededRandom32(seed);
  const pool = Array.from({ length: 12 }, (_, i) => service({ port: i + 1 }));
  const some = (): ServicePort[] => pool.filter(() => random32() % 3 > 0);
  for (let i = 0; i < 300; i++) {
    const before = some();
    const after = some();
    expect(diffServices(before, after), `seed ${seed}, round ${i}`).toEqual({
      removed: before.filter((port) => !after.includes(port)),
      added: after.filter((port) => !before.includes(port)),
    });
  }
  expect(diffServices(pool, [...pool].reverse())).toEqual({ removed: [], added: [] });
});
