import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { Packet } from '@podwire/wire/packet';
import { describe, expect, it } from 'vitest';
import { wordsOf } from '../src/address-words.ts';
import { Conntrack, type FlowTuple } from '../src/conntrack.ts';
import { mayOpenFlow } from '../src/conntrack-protocols.ts';
import { CILIUM_TIMEOUTS } from '../src/conntrack-states.ts';
import { ACK, FIN, RST, SYN, tcp, udp } from './cluster.ts';

function packetOf(frame: Uint8Array): Packet {
  const packet = new Packet();
  if (packet.decode(frame) !== 0) throw new Error('the test built a malformed frame');
  return packet;
}

function tuple(src: string, srcPort: number, dst: string, dstPort: number): FlowTuple {
  const [src0, src1, src2, src3] = wordsOf(src);
  const [dst0, dst1, dst2, dst3] = wordsOf(dst);
  return { src0, src1, src2, src3, dst0, dst1, dst2, dst3, srcPort, dstPort };
}

const A = '10.244.1.5';
const B = '10.244.2.5';
const VIP = '10.96.0.9';
const NODE = '10.244.1.1';

describe('a flow', () => {
  it('is found from both ends and leaves as its mirror says (DNAT and masquerade)', () => {
    const table = new Conntrack();
    const opening = packetOf(tcp(A, 1000, VIP, 80, SYN));
    const reference = table.insert(tuple(A, 1000, VIP, 80), tuple(B, 8080, NODE, 5000), opening, 0);
    expect(table.find(opening, 1)).toBe(reference);
    const answer = packetOf(tcp(B, 8080, NODE, 5000, SYN | ACK));
    expect(table.find(answer, 1)).toBe(reference + 1);
    expect(table.find(packetOf(tcp(B, 8080, A, 1000, SYN | ACK)), 1)).toBe(-1);

    expect([table.changesSource(reference), table.changesDestination(reference)]).toEqual([true, true]);
    expect([table.leavingSource(reference, 3), table.leavingSourcePort(reference)]).toEqual([
      wordsOf(NODE)[3],
      5000,
    ]);
    expect([table.leavingDestination(reference, 3), table.leavingDestinationPort(reference)]).toEqual([
      wordsOf(B)[3],
      8080,
    ]);
    const reply = reference + 1;
    expect([table.leavingSource(reply, 3), table.leavingSourcePort(reply)]).toEqual([wordsOf(VIP)[3], 80]);
    expect([table.leavingDestination(reply, 3), table.leavingDestinationPort(reply)]).toEqual([
      wordsOf(A)[3],
      1000,
    ]);
  });

  it('changes only what its translation changes', () => {
    const table = new Conntrack();
    const opening = packetOf(udp(A, 1000, VIP, 53));
    const dnat = table.insert(tuple(A, 1000, VIP, 53), tuple(B, 5353, A, 1000), opening, 0);
    expect([table.changesSource(dnat), table.changesDestination(dnat)]).toEqual([false, true]);
    expect([table.changesSource(dnat + 1), table.changesDestination(dnat + 1)]).toEqual([true, false]);
    const plain = table.insert(tuple(A, 1001, B, 53), tuple(B, 53, A, 1001), opening, 0);
    expect([table.changesSource(plain), table.changesDestination(plain)]).toEqual([false, false]);
  });

  it('is listed as conntrack -L would', () => {
    const table = new Conntrack();
    const opening = packetOf(tcp(A, 1000, VIP, 80, SYN));
    const reference = table.insert(tuple(A, 1000, VIP, 80), tuple(B, 8080, A, 1000), opening, 0);
    table.setService(reference, 'web/api:http');
    table.update(reference + 1, packetOf(tcp(B, 8080, A, 1000, SYN | ACK)), 10);
    expect(table.list(1000)).toEqual([
      {
        version: 4,
        protocol: 6,
        state: 'SYN_RECV',
        original: {
          source: A,
          destination: VIP,
          sourcePort: 1000,
          destinationPort: 80,
          packets: 1,
          bytes: 40,
        },
        reply: { source: B, destination: A, sourcePort: 8080, destinationPort: 1000, packets: 1, bytes: 40 },
        expiresInSeconds: 60,
        seenReply: true,
        assured: false,
        isServiceChoice: false,
        service: 'web/api:http',
      },
    ]);
  });
});

describe('TCP states and how long they last (Linux)', () => {
  const THERE = 0;
  const BACK = 1;
  const walks: {
    name: string;
    steps: [direction: number, flags: number, state: string, seconds: number][];
  }[] = [
    {
      name: 'open, close from the client, last ACK',
      steps: [
        [BACK, SYN | ACK, 'SYN_RECV', 60],
        [THERE, ACK, 'ESTABLISHED', 86_400],
        [THERE, FIN | ACK, 'FIN_WAIT', 120],
        [BACK, ACK, 'CLOSE_WAIT', 3600],
        [BACK, FIN | ACK, 'LAST_ACK', 30],
        [THERE, ACK, 'TIME_WAIT', 120],
      ],
    },
    { name: 'refused', steps: [[BACK, RST | ACK, 'CLOSE', 10]] },
    {
      name: 'reset when open',
      steps: [
        [BACK, SYN | ACK, 'SYN_RECV', 60],
        [THERE, ACK, 'ESTABLISHED', 86_400],
        [THERE, RST, 'CLOSE', 10],
      ],
    },
    {
      name: 'simultaneous open',
      steps: [
        [BACK, SYN, 'SYN_SENT2', 120],
        [BACK, SYN | ACK, 'SYN_RECV', 60],
        [THERE, ACK, 'ESTABLISHED', 86_400],
      ],
    },
    {
      name: 'a SYN again changes nothing once open',
      steps: [
        [BACK, SYN | ACK, 'SYN_RECV', 60],
        [THERE, ACK, 'ESTABLISHED', 86_400],
        [THERE, SYN, 'ESTABLISHED', 86_400],
      ],
    },
  ];
  it.each(walks)('$name', ({ steps }) => {
    const table = new Conntrack();
    const opening = packetOf(tcp(A, 1000, B, 80, SYN));
    const reference = table.insert(tuple(A, 1000, B, 80), tuple(B, 80, A, 1000), opening, 0);
    expect([table.stateNameOf(reference), table.list(0)[0].expiresInSeconds]).toEqual(['SYN_SENT', 120]);
    for (const [direction, flags, state, seconds] of steps) {
      const frame = direction === THERE ? tcp(A, 1000, B, 80, flags) : tcp(B, 80, A, 1000, flags);
      expect(table.update(reference + direction, packetOf(frame), 0)).toBe(true);
      expect([table.stateNameOf(reference), table.list(0)[0].expiresInSeconds]).toEqual([state, seconds]);
    }
  });

  it('calls invalid what its state does not allow, and what opens nothing', () => {
    const table = new Conntrack();
    const opening = packetOf(tcp(A, 1000, B, 80, SYN));
    const reference = table.insert(tuple(A, 1000, B, 80), tuple(B, 80, A, 1000), opening, 0);
    expect(table.update(reference, packetOf(tcp(A, 1000, B, 80, ACK)), 0)).toBe(false);
    expect(table.update(reference + 1, packetOf(tcp(B, 80, A, 1000, FIN | ACK)), 0)).toBe(false);
    expect(table.counters.invalid).toBe(2);
    const opens = (flags: number): boolean => mayOpenFlow(packetOf(tcp(A, 1, B, 2, flags)));
    expect([SYN, ACK, SYN | ACK, FIN | ACK, RST, 0].map(opens)).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  it('lets a SYN open a closed connection anew', () => {
    const table = new Conntrack();
    const opening = packetOf(tcp(A, 1000, B, 80, SYN));
    const reference = table.insert(tuple(A, 1000, B, 80), tuple(B, 80, A, 1000), opening, 0);
    expect(table.isReopening(reference, opening)).toBe(false);
    table.update(reference + 1, packetOf(tcp(B, 80, A, 1000, RST | ACK)), 0);
    expect(table.isReopening(reference, opening)).toBe(true);
    expect(table.isReopening(reference, packetOf(tcp(A, 1000, B, 80, ACK)))).toBe(false);
  });

  it('uses the timeouts of Cilium when told', () => {
    const table = new Conntrack({ timeouts: CILIUM_TIMEOUTS });
    const opening = packetOf(tcp(A, 1000, B, 80, SYN));
    const reference = table.insert(tuple(A, 1000, B, 80), tuple(B, 80, A, 1000), opening, 0);
    expect(table.list(0)[0].expiresInSeconds).toBe(60);
    table.update(reference + 1, packetOf(tcp(B, 80, A, 1000, SYN | ACK)), 0);
    table.update(reference, packetOf(tcp(A, 1000, B, 80, ACK)), 0);
    expect(table.list(0)[0].expiresInSeconds).toBe(8000);
    table.update(reference, packetOf(tcp(A, 1000, B, 80, RST)), 0);
    expect(table.list(0)[0].expiresInSeconds).toBe(10);
  });
});

describe('UDP', () => {
  it('lasts 30 s, and 120 s as a stream: answered and alive after two seconds', () => {
    const table = new Conntrack();
    const question = packetOf(udp(A, 1000, B, 53));
    const answer = packetOf(udp(B, 53, A, 1000));
    const reference = table.insert(tuple(A, 1000, B, 53), tuple(B, 53, A, 1000), question, 0);
    const left = (nowMs: number): number => table.list(nowMs)[0].expiresInSeconds;
    expect(left(0)).toBe(30);
    table.update(reference + 1, answer, 1000);
    expect(left(1000)).toBe(30);
    table.update(reference, question, 1500);
    expect(left(1500)).toBe(30);
    table.update(reference, question, 3000);
    expect([left(3000), table.list(3000)[0].assured]).toEqual([120, true]);
    expect(table.find(question, 122_999)).toBe(reference);
    expect(table.find(question, 123_000)).toBe(-1);
    expect(table.size).toBe(0);
  });
});

describe('the table', () => {
  const add = (table: Conntrack, port: number, nowMs: number): number =>
    table.insert(tuple(A, port, B, 53), tuple(B, 53, A, port), packetOf(udp(A, port, B, 53)), nowMs);

  it('throws out flows without an answer when full, and refuses when all are assured', () => {
    const table = new Conntrack({ maxFlows: 8 });
    for (let port = 1; port <= 8; port++) expect(add(table, port, 0)).toBeGreaterThanOrEqual(0);
    expect(add(table, 9, 0)).toBeGreaterThanOrEqual(0);
    expect([table.size, table.counters.evicted]).toEqual([8, 1]);
    for (let port = 1; port <= 9; port++) {
      const reference = table.find(packetOf(udp(A, port, B, 53)), 1);
      if (reference < 0) continue;
      table.update(reference + 1, packetOf(udp(B, 53, A, port)), 1);
      table.update(reference, packetOf(udp(A, port, B, 53)), 5000);
    }
    expect(add(table, 10, 5000)).toBe(-1);
    expect([table.size, table.counters.insertFailed]).toEqual([8, 1]);
    // Expired ones give way again.
    expect(add(table, 10, 200_000)).toBeGreaterThanOrEqual(0);
  });

  it('collects garbage a bounded piece at a time, and all of it in turn', () => {
    const table = new Conntrack();
    for (let port = 1; port <= 100; port++) add(table, port, 0);
    expect(table.collectGarbage(60_000, 10)).toBe(10);
    expect(table.size).toBe(90);
    for (let i = 0; i < 9; i++) table.collectGarbage(60_000, 10);
    expect(table.size).toBe(0);
    expect(table.list(0)).toEqual([]);
  });

  it('uses freed places again', () => {
    const table = new Conntrack();
    for (let port = 1; port <= 300; port++) add(table, port, 0);
    const before = table.byteLength;
    for (let round = 1; round < 5; round++) {
      while (table.size > 0) table.collectGarbage(round * 60_000, 100);
      for (let port = 1; port <= 300; port++) add(table, port, round * 60_000);
    }
    expect([table.size, table.byteLength]).toEqual([300, before]);
  });
});

/** The obvious conntrack: a Map from text to a record. */
class NaiveConntrack {
  readonly flows = new Map<
    string,
    { id: number; direction: number; expiresMs: { at: number }; other: string }
  >();
  find(key: string, nowMs: number): string | undefined {
    const entry = this.flows.get(key);
    if (entry === undefined) return undefined;
    if (entry.expiresMs.at > nowMs) return `${entry.id}/${entry.direction}`;
    this.remove(key);
    return undefined;
  }
  remove(key: string): void {
    const entry = this.flows.get(key)!;
    this.flows.delete(key);
    if (this.flows.get(entry.other)?.id === entry.id) this.flows.delete(entry.other);
  }
}

describe('against a naive twin', () => {
  it.each([11, 12])('seed %d: insert, find, remove, expire, collect', (seed) => {
    const random = seededRandom32(seed);
    const table = new Conntrack({ seed });
    const twin = new NaiveConntrack();
    const ids = new Map<number, number>();
    let nextId = 0;
    let nowMs = 0;
    const addresses = [A, B, VIP, NODE, 'fd00::1', 'fd00::2'];
    for (let step = 0; step < 6000; step++) {
      nowMs += random() % 50;
      const v6 = random() % 3 === 0;
      const pick = (): string => addresses[v6 ? 4 + (random() % 2) : random() % 4];
      const [src, dst] = [pick(), pick()];
      const [srcPort, dstPort] = [random() % 12, random() % 12];
      const packet = packetOf(udp(src, srcPort, dst, dstPort));
      const key = `${src} ${srcPort} ${dst} ${dstPort}`;
      const reference = table.find(packet, nowMs);
      const found = twin.find(key, nowMs);
      expect(reference < 0 ? undefined : `${ids.get(reference >> 1)}/${reference & 1}`).toBe(found);
      const choice = random() % 4;
      if (reference < 0 && choice < 3) {
        const [backSrc, backDst] = [pick(), pick()];
        const [backSrcPort, backDstPort] = [random() % 12, random() % 12];
        const reply = tuple(backSrc, backSrcPort, backDst, backDstPort);
        const other = `${backSrc} ${backSrcPort} ${backDst} ${backDstPort}`;
        const taken = twin.find(other, nowMs) !== undefined;
        expect(table.isTaken(reply, 17, nowMs)).toBe(taken);
        if (taken || other === key) continue;
        const added = table.insert(tuple(src, srcPort, dst, dstPort), reply, packet, nowMs);
        const expiresMs = { at: nowMs + 30_000 };
        ids.set(added >> 1, nextId);
        twin.flows.set(key, { id: nextId, direction: 0, expiresMs, other });
        twin.flows.set(other, { id: nextId, direction: 1, expiresMs, other: key });
        nextId++;
      } else if (reference >= 0 && choice === 0) {
        table.remove(reference);
        twin.remove(key);
      } else if (choice === 1) {
        table.collectGarbage(nowMs, 5);
      }
    }
    const alive = [...twin.flows.values()].filter(
      (entry) => entry.direction === 0 && entry.expiresMs.at > nowMs,
    );
    expect(table.list(nowMs).length).toBe(alive.length);
    expect(nextId).toBeGreaterThan(500);
  });
});
