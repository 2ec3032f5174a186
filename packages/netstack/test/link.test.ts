import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { buildArp, buildIcmpEcho, buildNeighborSolicitation, buildUdp } from '@podwire/wire/build';
import { describe as text } from '@podwire/wire/describe';
import { describe, expect, it } from 'vitest';
import { parseIpAddress } from '../src/ip-address.ts';
import { RouteTable } from '../src/routes.ts';
import { NetStack, type StackOptions } from '../src/stack.ts';
import { FakeClock } from './fake-clock.ts';
import { connectUser, RecordingUser } from './simulated-network.ts';

const MAC = '02:00:00:00:00:01';
const PEER_MAC = '02:00:00:00:00:99';

function alone(o: Partial<StackOptions> = {}) {
  const clock = new FakeClock();
  const sent: Uint8Array[] = [];
  const stack = new NetStack({
    nowMs: () => clock.nowMs,
    random32: seededRandom32(1),
    setTimer: clock.setTimer,
    defer: clock.defer,
    interface: { name: 'eth0', mac: MAC, mtu: 1500, transmit: (frame) => sent.push(frame.slice()) },
    addresses: [
      { address: '10.0.0.1', prefixLength: 24 },
      { address: 'fd00::1', prefixLength: 64 },
    ],
    ...o,
  });
  const receive = (frame: Uint8Array) => {
    stack.receive(frame);
    clock.settle();
  };
  /** What was sent since the last call, as text, with destination MAC. */
  const take = () => {
    clock.settle();
    return sent.splice(0).map((frame) => `${hex(frame.subarray(0, 6))} ${text(frame)}`);
  };
  return { clock, sent, stack, receive, take };
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

function arpReply(ip: string, mac = PEER_MAC): Uint8Array {
  return buildArp({ operation: 2, senderMac: mac, senderIp: ip, targetMac: MAC, targetIp: '10.0.0.1' });
}

describe('ARP', () => {
  it('asks once, holds packets meanwhile, then sends them', () => {
    const { stack, take, receive } = alone();
    const udp = stack.bindUdp({ port: 5 });
    udp.send('1', 9, '10.0.0.9');
    udp.send('2', 9, '10.0.0.9');
    expect(take()).toEqual(['ff:ff:ff:ff:ff:ff ARP, Request who-has 10.0.0.9 tell 10.0.0.1, length 28']);
    receive(arpReply('10.0.0.9'));
    expect(take()).toEqual([
      '02:00:00:00:00:99 IP 10.0.0.1.5 > 10.0.0.9.9: UDP, length 1',
      '02:00:00:00:00:99 IP 10.0.0.1.5 > 10.0.0.9.9: UDP, length 1',
    ]);
    udp.send('3', 9, '10.0.0.9');
    expect(take()).toHaveLength(1);
  });

  it('asks three times, then reports EHOSTUNREACH, and may ask again', () => {
    const { clock, stack, take } = alone();
    const user = new RecordingUser();
    connectUser(stack, user, { host: '10.0.0.9', port: 80 });
    const other = new RecordingUser();
    connectUser(stack, other, { host: 'fd00::9', port: 80 });
    clock.advance(2999);
    expect(user.isClosed).toBe(false);
    clock.advance(1);
    expect(user.events).toEqual(['closed EHOSTUNREACH']);
    expect(other.events).toEqual(['closed EHOSTUNREACH']);
    expect(take()).toHaveLength(6);
    expect(clock.timers).toBe(0);
    stack.bindUdp().send('x', 9, '10.0.0.9');
    expect(take()).toHaveLength(1);
  });

  it('sends what is beyond the prefix to the gateway, resolved by ARP', () => {
    const { stack, take, receive } = alone({
      addresses: [{ address: '10.0.0.1', prefixLength: 32 }],
      gateway: { v4: '169.254.1.1' },
    });
    const udp = stack.bindUdp({ port: 5 });
    udp.send('1', 9, '10.0.0.9');
    udp.send('1', 9, '8.8.8.8');
    expect(take()).toEqual(['ff:ff:ff:ff:ff:ff ARP, Request who-has 169.254.1.1 tell 10.0.0.1, length 28']);
    receive(arpReply('169.254.1.1', 'ee:ee:ee:ee:ee:ee'));
    expect(take()).toEqual([
      'ee:ee:ee:ee:ee:ee IP 10.0.0.1.5 > 10.0.0.9.9: UDP, length 1',
      'ee:ee:ee:ee:ee:ee IP 10.0.0.1.5 > 8.8.8.8.9: UDP, length 1',
    ]);
  });

  it('answers requests for its own addresses only, and learns who asks', () => {
    const { stack, take, receive } = alone();
    const ask = (ip: string) =>
      receive(buildArp({ operation: 1, senderMac: PEER_MAC, senderIp: '10.0.0.9', targetIp: ip }));
    ask('10.0.0.2');
    ask('10.0.0.9');
    expect(take()).toEqual([]);
    ask('10.0.0.1');
    expect(take()).toEqual([`${PEER_MAC} ARP, Reply 10.0.0.1 is-at ${MAC}, length 28`]);
    stack.bindUdp({ port: 5 }).send('x', 9, '10.0.0.9');
    expect(take()).toEqual([`${PEER_MAC} IP 10.0.0.1.5 > 10.0.0.9.9: UDP, length 1`]);
  });

  it('does not take an unasked answer, nor a group MAC', () => {
    const { stack, take, receive } = alone();
    receive(arpReply('10.0.0.9'));
    stack.bindUdp({ port: 5 }).send('x', 9, '10.0.0.9');
    expect(take()).toHaveLength(1);
    receive(arpReply('10.0.0.9', '01:00:5e:00:00:01'));
    expect(take()).toEqual([]);
    receive(arpReply('10.0.0.9'));
    expect(take()).toHaveLength(1);
  });

  it('after silence asks the known neighbour by unicast while still using it, then gives it up', () => {
    const { clock, stack, take, receive } = alone();
    const udp = stack.bindUdp({ port: 5 });
    udp.send('x', 9, '10.0.0.9');
    receive(arpReply('10.0.0.9'));
    take();
    clock.advance(29_000);
    udp.send('x', 9, '10.0.0.9');
    expect(take()).toHaveLength(1);
    clock.advance(2000);
    udp.send('x', 9, '10.0.0.9');
    const lines = take();
    expect(lines.filter((line) => line.includes('who-has'))).toEqual([
      `${PEER_MAC} ARP, Request who-has 10.0.0.9 tell 10.0.0.1, length 28`,
    ]);
    expect(lines).toHaveLength(2);
    clock.advance(5000);
    take();
    udp.send('x', 9, '10.0.0.9');
    expect(take()).toEqual(['ff:ff:ff:ff:ff:ff ARP, Request who-has 10.0.0.9 tell 10.0.0.1, length 28']);
  });

  it('holds a bounded number of packets for each neighbour', () => {
    const { stack, take, receive } = alone();
    const udp = stack.bindUdp();
    for (let i = 0; i < 500; i++) udp.send('x', 9, '10.0.0.9');
    receive(arpReply('10.0.0.9'));
    expect(take()).toHaveLength(1 + 64);
    expect(stack.statistics.queueDrops).toBe(436);
  });

  it('learns a bounded number of neighbours', () => {
    const { stack, receive } = alone({ addresses: [{ address: '10.0.0.1', prefixLength: 8 }] });
    for (let i = 0; i < 3000; i++) {
      receive(
        buildArp({
          operation: 1,
          senderMac: PEER_MAC,
          senderIp: `10.1.${i >> 8}.${i & 255}`,
          targetIp: '10.0.0.1',
        }),
      );
    }
    expect(stack.statistics.malformedFrames).toBe(0);
  });

  it('a link with a fixed neighbour asks nothing', () => {
    const sent: Uint8Array[] = [];
    const { stack, clock } = alone({
      interface: {
        name: 'host',
        mac: MAC,
        mtu: 1500,
        neighborMac: PEER_MAC,
        transmit: (frame) => sent.push(frame.slice()),
      },
    });
    stack.bindUdp({ port: 5 }).send('x', 9, '192.0.2.1');
    clock.settle();
    expect(sent.map((frame) => `${hex(frame.subarray(0, 6))} ${text(frame)}`)).toEqual([
      `${PEER_MAC} IP 10.0.0.1.5 > 192.0.2.1.9: UDP, length 1`,
    ]);
  });
});

describe('Neighbour Discovery', () => {
  it('solicits by multicast and uses the advertisement', () => {
    const a = alone();
    const b = alone({
      interface: {
        name: 'eth0',
        mac: PEER_MAC,
        mtu: 1500,
        transmit: (frame) => {
          a.receive(frame.slice());
        },
      },
      addresses: [{ address: 'fd00::99', prefixLength: 64 }],
    });
    a.stack.bindUdp({ port: 5 }).send('x', 9, 'fd00::99');
    a.clock.settle();
    const [solicitation] = a.sent.splice(0);
    expect(hex(solicitation.subarray(0, 6))).toBe('33:33:ff:00:00:99');
    b.receive(solicitation);
    expect(a.take()).toEqual([`${PEER_MAC} IP6 fd00::1.5 > fd00::99.9: UDP, length 1`]);
  });

  it('answers a solicitation for an own address, not for another', () => {
    const { take, receive } = alone();
    receive(buildNeighborSolicitation({ srcMac: PEER_MAC, src: 'fd00::99', target: 'fd00::2' }));
    expect(take()).toEqual([]);
    receive(buildNeighborSolicitation({ srcMac: PEER_MAC, src: 'fd00::99', target: 'fd00::1' }));
    const [line] = take();
    expect(line).toContain(`${PEER_MAC} IP6 fd00::1 > fd00::99: ICMP6, neighbor advertisement`);
  });

  it('ignores a solicitation that came through a router', () => {
    const { take, receive, stack } = alone();
    const frame = buildNeighborSolicitation({ srcMac: PEER_MAC, src: 'fd00::99', target: 'fd00::1' });
    frame[14 + 7] = 254;
    receive(frame);
    expect(take()).toEqual([]);
    expect(stack.statistics.malformedFrames).toBe(1);
  });
});

describe('bounds', () => {
  it('remembers a bounded number of destinations', () => {
    const routes = new RouteTable({
      mtu: 1500,
      gatewayV4: undefined,
      gatewayV6: undefined,
      onlinkDefault: true,
      loopback: true,
    });
    for (let i = 0; i < 5000; i++) routes.lookup(parseIpAddress(`10.1.${i >> 8}.${i & 255}`)!);
    expect(routes.size).toBe(1024);
  });
});

describe('a stack without loopback', () => {
  it('sends 127.0.0.11 over the link and takes packets from there', () => {
    const sent: Uint8Array[] = [];
    const { stack, clock, receive } = alone({
      interface: {
        name: 'host',
        mac: MAC,
        mtu: 1500,
        neighborMac: PEER_MAC,
        transmit: (frame) => sent.push(frame.slice()),
      },
      acceptAnyAddress: true,
      loopback: false,
    });
    const heard: string[] = [];
    const socket = stack.bindUdp({ host: '127.0.0.11', port: 5 });
    socket.on('message', (data, peer) => heard.push(`${data} from ${peer.address} to ${peer.localAddress}`));
    socket.send('x', 9, '127.0.0.12');
    clock.settle();
    expect(sent.map((frame) => text(frame))).toEqual(['IP 127.0.0.11.5 > 127.0.0.12.9: UDP, length 1']);
    receive(
      buildUdp({ src: '127.0.0.12', dst: '127.0.0.11', dstMac: MAC, srcPort: 9, dstPort: 5, payload: 'y' }),
    );
    expect(heard).toEqual(['y from 127.0.0.12 to 127.0.0.11']);
  });
});

describe('the scope of loopback', () => {
  const scopes = [
    [true, ['127.0.0.1', '127.0.0.11', '::1']],
    ['host', ['127.0.0.1', '::1']],
    [false, []],
  ] as const;
  const addresses = ['127.0.0.1', '127.0.0.11', '::1'];

  function pointToPoint(loopback: StackOptions['loopback'], o: Partial<StackOptions> = {}) {
    const frames: Uint8Array[] = [];
    const made = alone({
      interface: {
        name: 'eth0',
        mac: MAC,
        mtu: 1500,
        neighborMac: PEER_MAC,
        transmit: (frame) => frames.push(frame.slice()),
      },
      loopback,
      ...o,
    });
    const sent = () => {
      made.clock.settle();
      return frames.splice(0).map((frame) => text(frame));
    };
    return { ...made, sent };
  }

  it.each(scopes)(
    '%s: sends to %j inside, to the others over the link from its own address',
    (scope, inside) => {
      const { stack, sent } = pointToPoint(scope);
      const heard: string[] = [];
      stack.bindUdp({ port: 9 }).on('message', (_data, { localAddress }) => heard.push(localAddress));
      for (const address of addresses) stack.bindUdp({ port: 0 }).send('x', 9, address);
      const destinations = sent().map((line) => / > (\S+)\.9: UDP/.exec(line)?.[1]);
      expect(heard).toEqual(inside);
      expect(destinations).toEqual(addresses.filter((address) => !heard.includes(address)));
    },
  );

  it.each(scopes)('%s: takes nothing from the link that says it comes from %j', (scope, inside) => {
    const { stack, receive } = pointToPoint(scope);
    const heard: string[] = [];
    stack.bindUdp({ port: 9 }).on('message', (_data, { address }) => heard.push(address));
    for (const src of addresses) {
      const dst = src.includes(':') ? 'fd00::1' : '10.0.0.1';
      receive(buildUdp({ src, dst, dstMac: MAC, srcPort: 5, dstPort: 9, payload: 'y' }));
    }
    expect(heard).toEqual(addresses.filter((address) => !(inside as readonly string[]).includes(address)));
    expect(stack.statistics.foreignFrames).toBe(inside.length);
  });

  it.each(scopes)(
    '%s: takes nothing from the link for %j, even when it accepts any address',
    (scope, inside) => {
      const { stack, receive } = pointToPoint(scope, { acceptAnyAddress: true });
      const heard: string[] = [];
      stack.bindUdp({ port: 9 }).on('message', (_data, { localAddress }) => heard.push(localAddress));
      for (const dst of addresses) {
        const src = dst.includes(':') ? 'fd00::9' : '10.0.0.9';
        receive(buildUdp({ src, dst, dstMac: MAC, srcPort: 5, dstPort: 9, payload: 'y' }));
      }
      expect(heard).toEqual(addresses.filter((address) => !(inside as readonly string[]).includes(address)));
    },
  );

  it.each(scopes)('%s: lets sockets be bound to %j and no other of them', (scope, inside) => {
    const { stack } = pointToPoint(scope);
    const bound = addresses.filter((host) => {
      try {
        stack.bindUdp({ host });
        return true;
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('EADDRNOTAVAIL');
        return false;
      }
    });
    expect(bound).toEqual(inside);
  });
});

describe('whose frames', () => {
  it('takes its own MAC, broadcast and multicast, nothing else', () => {
    const { take, receive, stack } = alone({ gateway: { v4: '10.0.0.9' } });
    stack.bindUdp().send('x', 9, '10.0.0.9');
    receive(arpReply('10.0.0.9'));
    take();
    const ping = (dstMac: string, dst = '10.0.0.1', src = '10.0.0.9') =>
      receive(buildIcmpEcho({ src, dst, srcMac: PEER_MAC, dstMac, id: 1, sequence: 1 }));
    ping('02:00:00:00:00:02');
    expect(take()).toEqual([]);
    ping(MAC);
    expect(take()).toEqual([expect.stringContaining('echo reply')]);
    const broken = buildIcmpEcho({
      src: '10.0.0.9',
      dst: '10.0.0.1',
      srcMac: PEER_MAC,
      dstMac: MAC,
      id: 1,
      sequence: 1,
    });
    // The TTL is in no checksum but that of the header.
    broken[14 + 8]--;
    receive(broken);
    expect(take()).toEqual([]);
    // Not our address, loopback from outside, group and broadcast sources.
    ping(MAC, '10.0.0.2');
    ping(MAC, '127.0.0.1');
    ping(MAC, '10.0.0.1', '127.0.0.1');
    ping(MAC, '10.0.0.1', '224.0.0.1');
    ping(MAC, '10.0.0.1', '255.255.255.255');
    expect(take()).toEqual([]);
  });
});
