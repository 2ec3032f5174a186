import { buildIcmpError, buildUdp } from '@podwire/wire/build';
import { describe as text } from '@podwire/wire/describe';
import { describe, expect, it } from 'vitest';
import { FakeClock } from './fake-clock.ts';
import { ScriptedPeer } from './scripted-peer.ts';
import { connectUser, joinedStacks, listenUsers, patternBytes, RecordingUser } from './simulated-network.ts';

describe('path MTU discovery', () => {
  it.each([
    ['10.0.0.2', 1400],
    ['10.0.0.2', 600],
    ['fd00::2', 1300],
  ])('a path to %s that shrinks to %i in mid-flow', (host, mtu) => {
    const clock = new FakeClock();
    const { a, b, forth } = joinedStacks(clock, 1, { delayMs: 1 });
    const bytes = patternBytes(500_000, 7);
    const servers = listenUsers(b, 80, () => new RecordingUser());
    const client = new RecordingUser(bytes);
    connectUser(a, client, { host, port: 80 });
    clock.runUntil(() => (servers[0]?.receivedBytes ?? 0) > 100_000, 10_000);
    let dropped = 0;
    forth.intercept = (frame) => {
      if (frame.length - 14 <= mtu) return false;
      dropped++;
      const v6 = host.includes(':');
      a.receive(
        buildIcmpError({
          about: frame,
          src: v6 ? 'fd00::fe' : '10.0.0.254',
          type: v6 ? 2 : 3,
          code: v6 ? 0 : 4,
          rest: mtu,
        }),
      );
      return true;
    };
    const startMs = clock.nowMs;
    clock.runUntil(() => client.isClosed && servers[0].isClosed, 20_000);
    expect(Buffer.compare(servers[0].received, bytes)).toBe(0);
    expect(dropped).toBeGreaterThan(0);
    expect(a.statistics.pathMtuChanges).toBe(1);
    expect(a.statistics.timeouts).toBe(0);
    expect(clock.nowMs - startMs).toBeLessThan(1500);
    // The next connection starts with the smaller size.
    const before = dropped;
    const next = new RecordingUser(bytes.subarray(0, 50_000));
    connectUser(a, next, { host, port: 80 });
    clock.runUntil(() => servers[1]?.ended === true, 5000);
    expect(servers[1].receivedBytes).toBe(50_000);
    expect(dropped).toBe(before);
  });

  it('ignores one about what is not in flight, or of a size that is not smaller', () => {
    const { peer, user } = established();
    user.send(new Uint8Array(3000));
    peer.clock.settle();
    const [first] = peer.sent.splice(0);
    const tell = (about: Uint8Array, mtu: number) => {
      peer.stack.receive(buildIcmpError({ about, src: '10.0.0.254', type: 3, code: 4, rest: mtu }));
      peer.clock.settle();
      return peer.sent.splice(0).length;
    };
    expect(tell(first, 1500)).toBe(0);
    const forged = first.slice();
    forged[14 + 20 + 4] ^= 0x40;
    expect(tell(forged, 1000)).toBe(0);
    expect(peer.stack.statistics.pathMtuChanges).toBe(0);
    expect(tell(first, 1000)).toBeGreaterThan(0);
    expect(peer.stack.statistics.pathMtuChanges).toBe(1);
  });

  it('below 552 sends packets that routers may fragment', () => {
    const { peer, user } = established();
    user.send(new Uint8Array(3000));
    peer.clock.settle();
    const [first] = peer.sent.splice(0);
    expect(first[14 + 6] & 0x40).toBe(0x40);
    peer.stack.receive(buildIcmpError({ about: first, src: '10.0.0.254', type: 3, code: 4, rest: 300 }));
    peer.clock.settle();
    const frames = peer.sent.splice(0);
    expect(frames.length).toBeGreaterThan(0);
    for (const frame of frames) {
      expect(frame[14 + 6] & 0x40).toBe(0);
      expect(frame.length - 14).toBeLessThanOrEqual(552);
    }
  });

  it('UDP learns it too and fragments', () => {
    const clock = new FakeClock();
    const { a, b, forth } = joinedStacks(clock, 1);
    const received: number[] = [];
    b.bindUdp({ port: 9 }).on('message', (data) => received.push(data.length));
    const socket = a.bindUdp();
    forth.intercept = (frame) => {
      if (frame.length - 14 <= 1000) return false;
      a.receive(buildIcmpError({ about: frame, src: '10.0.0.254', type: 3, code: 4, rest: 1000 }));
      return true;
    };
    for (let i = 0; i < 3; i++) {
      socket.send(new Uint8Array(1400 + i), 9, '10.0.0.2');
      clock.advance(10);
    }
    expect(received).toEqual([1401, 1402]);
  });
});

describe('ICMP errors', () => {
  it.each([
    [3, 3, 'ECONNREFUSED'],
    [3, 2, 'ECONNREFUSED'],
    [3, 1, 'EHOSTUNREACH'],
    [3, 0, 'ENETUNREACH'],
    [3, 13, 'EHOSTUNREACH'],
    [11, 0, 'EHOSTUNREACH'],
  ])('type %i code %i while connecting: %s', (type, code, expected) => {
    const peer = new ScriptedPeer();
    const user = new RecordingUser();
    connectUser(peer.stack, user, { host: '10.0.0.99', port: 80 });
    peer.clock.settle();
    const [syn] = peer.sent.splice(0);
    peer.stack.receive(buildIcmpError({ about: syn, src: '10.0.0.254', type, code }));
    peer.clock.settle();
    expect(user.events).toEqual([`closed ${expected}`]);
  });

  it.each([
    [1, 4, 'ECONNREFUSED'],
    [1, 3, 'EHOSTUNREACH'],
    [1, 0, 'ENETUNREACH'],
    [3, 0, 'EHOSTUNREACH'],
  ])('ICMPv6 type %i code %i while connecting: %s', (type, code, expected) => {
    const peer = new ScriptedPeer();
    const user = new RecordingUser();
    connectUser(peer.stack, user, { host: 'fd00::99', port: 80 });
    peer.clock.settle();
    const [syn] = peer.sent.splice(0);
    peer.stack.receive(buildIcmpError({ about: syn, src: 'fd00::fe', type, code }));
    peer.clock.settle();
    expect(user.events).toEqual([`closed ${expected}`]);
  });

  it('do not end an established connection, but name why it timed out', () => {
    const { peer, user } = established({ tcp: { maxRetransmits: 3 } });
    user.send(new Uint8Array(100));
    peer.clock.settle();
    const [segment] = peer.sent.splice(0);
    peer.stack.receive(buildIcmpError({ about: segment, src: '10.0.0.254', type: 3, code: 1 }));
    peer.clock.settle();
    expect(user.isClosed).toBe(false);
    peer.clock.advance(10_000);
    expect(user.code).toBe('EHOSTUNREACH');
  });

  it('a closed UDP port is answered, a group or a group source is not', () => {
    const peer = new ScriptedPeer();
    const udp = (dst: string, src = '10.0.0.99') => {
      peer.stack.receive(
        buildUdp({ src, dst, dstMac: '02:00:00:00:00:01', srcPort: 1, dstPort: 9, payload: 'x' }),
      );
      peer.clock.settle();
      return peer.sent.splice(0).map((frame) => text(frame));
    };
    expect(udp('10.0.0.1')).toEqual([
      'IP 10.0.0.1 > 10.0.0.99: ICMP 10.0.0.1 udp port 9 unreachable, length 37',
    ]);
    expect(udp('fd00::1', 'fd00::99')).toHaveLength(1);
    expect(udp('224.0.0.1')).toEqual([]);
    expect(udp('10.0.0.255')).toEqual([]);
    expect(udp('255.255.255.255')).toEqual([]);
    expect(peer.stack.statistics.noPorts).toBe(5);
  });

  it('are limited in rate', () => {
    const peer = new ScriptedPeer();
    const frame = buildUdp({
      src: '10.0.0.99',
      dst: '10.0.0.1',
      dstMac: '02:00:00:00:00:01',
      srcPort: 1,
      dstPort: 9,
      payload: 'x',
    });
    for (let i = 0; i < 200; i++) peer.stack.receive(frame);
    peer.clock.settle();
    expect(peer.sent.splice(0)).toHaveLength(50);
    peer.clock.advance(10);
    for (let i = 0; i < 200; i++) peer.stack.receive(frame);
    peer.clock.settle();
    expect(peer.sent).toHaveLength(10);
    expect(peer.stack.statistics.icmpRateLimited).toBe(340);
  });
});

function established(o: ConstructorParameters<typeof ScriptedPeer>[0] = {}) {
  const peer = new ScriptedPeer(o);
  const users = listenUsers(peer.stack, 80, () => {
    const user = new RecordingUser();
    user.endAfterWrite = false;
    return user;
  });
  peer.handshake();
  return { peer, user: users[0] };
}
