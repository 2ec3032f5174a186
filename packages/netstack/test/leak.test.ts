import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { FakeClock } from './fake-clock.ts';
import { connectUser, joinedStacks, listenUsers, RecordingUser } from './simulated-network.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

function heapBytes(): number {
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('nothing is left behind', () => {
  it('10,000 short connections', () => {
    const clock = new FakeClock();
    const { a, b } = joinedStacks(clock, 1, {}, { mtu: 1450 });
    const question = Buffer.from('question');
    const answer = Buffer.from('answer');
    const servers = listenUsers(b, 80, () => {
      const user = new RecordingUser(answer);
      user.closeOnEnd = true;
      return user;
    });
    let answered = 0;
    const batch = () => {
      const clients: RecordingUser[] = [];
      for (let i = 0; i < 100; i++) {
        const client = new RecordingUser(question);
        client.closeOnEnd = true;
        connectUser(a, client, { host: i % 2 === 0 ? '10.0.0.2' : 'fd00::2', port: 80 });
        clients.push(client);
      }
      clock.advance(20);
      for (const client of clients) if (client.received.toString() === 'answer') answered++;
      servers.length = 0;
      clock.advance(20);
    };
    for (let i = 0; i < 10; i++) batch();
    clock.advance(2000);
    const before = heapBytes();
    for (let i = 0; i < 90; i++) batch();
    // What is in TIME-WAIT is all there is, and a second later that is gone too.
    expect(a.sockets().length + b.sockets().length).toBeLessThan(5000);
    clock.advance(2000);
    expect(answered).toBe(10_000);
    expect(a.sockets()).toEqual([]);
    expect(b.sockets()).toHaveLength(1);
    expect(clock.timers).toBe(0);
    const grown = heapBytes() - before;
    expect(grown).toBeLessThan(1_000_000);
    expect(a.statistics.attemptFails).toBe(0);
  });

  it('bulk transfer over a link that hands frames straight on', () => {
    const clock = new FakeClock();
    const { a, b, forth, back } = joinedStacks(clock, 1);
    forth.intercept = (frame) => {
      b.receive(frame);
      return true;
    };
    back.intercept = (frame) => {
      a.receive(frame);
      return true;
    };
    const servers = listenUsers(b, 80, () => new RecordingUser());
    const client = new RecordingUser(new Uint8Array(20_000_000));
    connectUser(a, client, { host: '10.0.0.2', port: 80 });
    clock.runUntil(() => client.isClosed && servers[0].isClosed, 60_000);
    expect(servers[0].receivedBytes).toBe(20_000_000);
    // Runs of segments come out as chunks of up to 64 kB, and one acknowledgment answers each run.
    expect(servers[0].chunks.length).toBeLessThan(600);
    expect(a.statistics.segmentsOut).toBeLessThan(14_000);
    expect(b.statistics.segmentsOut).toBeLessThan(600);
  });
});
