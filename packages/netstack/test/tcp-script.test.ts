import { describe, expect, it } from 'vitest';
import type { StackOptions } from '../src/stack.ts';
import { ScriptedPeer } from './scripted-peer.ts';
import { connectUser, listenUsers, RecordingUser } from './simulated-network.ts';

function listening(o: Partial<StackOptions> & { v6?: boolean } = {}, make = () => new RecordingUser()) {
  const peer = new ScriptedPeer(o);
  const users = listenUsers(peer.stack, 80, () => {
    const user = make();
    user.endAfterWrite = false;
    return user;
  });
  return { peer, users };
}

function connecting(o: Partial<StackOptions> & { v6?: boolean } = {}) {
  const peer = new ScriptedPeer(o);
  peer.stackPort = 50_000;
  peer.peerPort = 80;
  const user = new RecordingUser();
  user.endAfterWrite = false;
  connectUser(peer.stack, user, { host: peer.peerAddress, port: 80, localPort: 50_000 });
  return { peer, user };
}

function states(peer: ScriptedPeer): string[] {
  return peer.stack
    .sockets()
    .filter((row) => row.state !== 'LISTEN')
    .map((row) => row.state);
}

describe('handshake', () => {
  it('answers a SYN with the options it was offered', () => {
    const { peer } = listening();
    peer.inject('S 0:0(0) win 1000 <mss 1460,sackOK,wscale 7>');
    peer.expect('S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,wscale 4>');
    peer.inject('. 1:1(0) ack 1');
    peer.expect();
    expect(states(peer)).toEqual(['ESTAB']);
  });

  it('answers timestamps with timestamps', () => {
    const { peer } = listening();
    peer.inject('S 0:0(0) <mss 1460,sackOK,TS 5:0,wscale 7>');
    peer.expect('S. 0:0(0) ack 1 <mss 1460,sackOK,TS,wscale 4>');
  });

  it('offers no option that the SYN did not have', () => {
    const { peer } = listening();
    peer.inject('S 0:0(0)');
    peer.expect('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  });

  it('offers the MSS of IPv6', () => {
    const { peer } = listening({ v6: true });
    peer.inject('S 0:0(0) <mss 1440>');
    peer.expect('S. 0:0(0) ack 1 <mss 1440>');
  });

  it('sends SYN with all options and completes', () => {
    const { peer, user } = connecting();
    peer.expect('S 0:0(0) win 65535 <mss 1460,sackOK,TS,wscale 4>');
    peer.inject('S. 0:0(0) ack 1 win 5000 <mss 1000>');
    peer.expect('. 1:1(0) ack 1 win 65535');
    expect(user.events).toEqual(['connected']);
  });

  it('repeats the SYN-ACK for a repeated SYN, and by its own timer', () => {
    const { peer } = listening();
    peer.inject('S 0:0(0)');
    peer.expect('S. 0:0(0) ack 1');
    peer.inject('S 0:0(0)');
    peer.expect('S. 0:0(0) ack 1');
    peer.clock.advance(1000);
    peer.expect('S. 0:0(0) ack 1');
    peer.clock.advance(2000);
    peer.expect('S. 0:0(0) ack 1');
  });

  it('gives a half-open connection up after five repetitions', () => {
    const { peer } = listening();
    peer.inject('S 0:0(0)');
    peer.clock.advance(120_000);
    peer.expect(...new Array(6).fill('S. 0:0(0) ack 1'));
    expect(states(peer)).toEqual([]);
    expect(peer.clock.timers).toBe(0);
  });

  it('repeats the SYN with back-off and then says ETIMEDOUT', () => {
    const { peer, user } = connecting();
    peer.expect('S 0:0(0)');
    const atMs: number[] = [];
    const startMs = peer.clock.nowMs;
    while (peer.clock.step()) if (peer.sent.splice(0).length > 0) atMs.push(peer.clock.nowMs - startMs);
    expect(atMs).toEqual([1000, 3000, 7000, 15_000, 31_000, 63_000]);
    expect(user.events).toEqual(['closed ETIMEDOUT']);
    // Linux: 127 s.
    expect(peer.clock.nowMs - startMs).toBe(123_000);
  });

  it('takes no round trip from a handshake with repetitions', () => {
    const { peer, user } = connecting();
    peer.clock.settle();
    const { value } = peer.timestampsOf(peer.sent[0]);
    peer.expect('S 0:0(0)');
    peer.clock.advance(1000);
    peer.expect('S 0:0(0)');
    peer.inject(`S. 0:0(0) ack 1 <TS 5:${value}>`);
    expect(user.events).toEqual(['connected']);
    expect(user.connection!.rtt.smoothedMs).toBe(-1);
  });

  it('takes a connect timeout', () => {
    const peer = new ScriptedPeer();
    const user = new RecordingUser();
    connectUser(peer.stack, user, { host: '10.0.0.99', port: 80, connectTimeoutMs: 1500 });
    peer.clock.advance(1499);
    expect(user.events).toEqual([]);
    peer.clock.advance(1);
    expect(user.events).toEqual(['closed ETIMEDOUT']);
    expect(peer.clock.timers).toBe(0);
  });

  it('opens simultaneously', () => {
    const { peer, user } = connecting();
    peer.expect('S 0:0(0)');
    peer.inject('S 0:0(0) <mss 1460>');
    peer.expect('S. 0:0(0) ack 1');
    peer.inject('S. 0:0(0) ack 1 <mss 1460>');
    peer.expect('. 1:1(0) ack 1');
    expect(user.events).toEqual(['connected']);
    expect(states(peer)).toEqual(['ESTAB']);
  });

  it('takes data and FIN with the SYN-ACK', () => {
    const { peer, user } = connecting();
    peer.expect('S 0:0(0)');
    peer.inject('SF. 0:5(5) ack 1');
    peer.expect('. 1:1(0) ack 7');
    expect(user.received.toString()).toBe('aaaaa');
    expect(user.events).toEqual(['connected', 'end']);
  });

  it('limits half-open connections to the backlog', () => {
    const peer = new ScriptedPeer();
    const accepted: RecordingUser[] = [];
    peer.stack.listenConnections({ port: 80, backlog: 3 }, (c) => {
      const user = new RecordingUser();
      user.connection = c;
      c.user = user;
      accepted.push(user);
    });
    for (let i = 0; i < 5; i++) {
      peer.peerPort = 40_000 + i;
      peer.inject('S 0:0(0)');
    }
    expect(peer.sent.splice(0)).toHaveLength(3);
    expect(peer.stack.statistics.synDrops).toBe(2);
    // A place is free again once a handshake ends.
    peer.peerPort = 40_000;
    peer.inject('R 1:1(0)');
    peer.peerPort = 40_004;
    peer.inject('S 0:0(0)');
    peer.expect('S. 0:0(0) ack 1');
    peer.inject('. 1:1(0) ack 1');
    expect(accepted).toHaveLength(1);
  });
});

describe('segments of no connection', () => {
  it.each([
    ['S 0:0(0)', 'R. 0:0(0) ack 1'],
    ['S 0:5(5)', 'R. 0:0(0) ack 6'],
    ['. 7:7(0) ack 9', 'R 9:9(0)'],
    ['F. 7:7(0) ack 9', 'R 9:9(0)'],
    ['F 7:10(3)', 'R. 0:0(0) ack 11'],
  ])('answers %s with %s', (line, answer) => {
    const peer = new ScriptedPeer();
    peer.stackIsn = 0;
    peer.inject(line);
    peer.expect(answer);
  });

  it('never answers a reset', () => {
    const peer = new ScriptedPeer();
    peer.inject('R 0:0(0)', 'R. 5:5(0) ack 1');
    peer.expect();
  });

  it('answers an ACK to a listening port with a reset', () => {
    const { peer } = listening();
    peer.stackIsn = 0;
    peer.inject('. 1:1(0) ack 100');
    peer.expect('R 100:100(0)');
  });

  it('drops a segment whose checksum is wrong', () => {
    const peer = new ScriptedPeer();
    const frame = peer.frame('S 0:0(0)');
    frame[frame.length - 3] ^= 1;
    peer.stack.receive(frame);
    peer.expect();
    expect(peer.stack.statistics.checksumErrors).toBe(1);
  });
});

describe('SYN-SENT', () => {
  it('takes a reset that acknowledges the SYN as ECONNREFUSED', () => {
    const { peer, user } = connecting();
    peer.expect('S 0:0(0)');
    peer.inject('R. 0:0(0) ack 1');
    expect(user.events).toEqual(['closed ECONNREFUSED']);
    expect(states(peer)).toEqual([]);
  });

  it('ignores resets that do not', () => {
    const { peer, user } = connecting();
    peer.expect('S 0:0(0)');
    peer.inject('R 0:0(0)', 'R. 0:0(0) ack 2', 'R. 0:0(0) ack 0');
    peer.expect();
    expect(user.events).toEqual([]);
  });

  it('resets a peer that acknowledges something else', () => {
    const { peer } = connecting();
    peer.expect('S 0:0(0)');
    peer.inject('S. 0:0(0) ack 700');
    peer.expect('R 700:700(0)');
    expect(states(peer)).toEqual(['SYN-SENT']);
  });
});

describe('data', () => {
  it('is acknowledged every second full segment, the rest after 40 ms', () => {
    const { peer, users } = listening();
    peer.handshake();
    users[0].connection!.quickAcks = 0;
    peer.inject('. 1:1001(1000) ack 1');
    peer.expect();
    peer.inject('. 1001:2001(1000) ack 1');
    peer.expect('. 1:1(0) ack 2001');
    peer.inject('P. 2001:2101(100) ack 1');
    peer.expect();
    peer.clock.advance(39);
    peer.expect();
    peer.clock.advance(1);
    peer.expect('. 1:1(0) ack 2101');
    expect(users[0].receivedBytes).toBe(2100);
  });

  it('carries the acknowledgment when there is something to say', () => {
    const { peer, users } = listening();
    peer.handshake();
    users[0].onReadable = () => users[0].send(Buffer.from('pong'));
    peer.inject('P. 1:5(4) ack 1');
    peer.expect('P. 1:5(4) ack 5');
  });

  it('waits for a gap to fill and says what it holds', () => {
    const { peer, users } = listening();
    peer.handshake('<mss 1460,sackOK>');
    peer.inject('. 1001:2001(1000) ack 1');
    peer.expect('. 1:1(0) ack 1 <sack 1001:2001>');
    peer.inject('. 3001:4001(1000) ack 1');
    peer.expect('. 1:1(0) ack 1 <sack 3001:4001 1001:2001>');
    peer.inject('. 2001:3001(1000) ack 1');
    peer.expect('. 1:1(0) ack 1 <sack 1001:4001>');
    peer.inject('. 1:1001(1000) ack 1');
    peer.expect('. 1:1(0) ack 4001 <>');
    expect(users[0].receivedBytes).toBe(4000);
  });

  it('without SACK acknowledges each segment beyond a gap, for the peer counts', () => {
    const { peer } = listening();
    peer.handshake();
    peer.inject('. 1001:2001(1000) ack 1', '. 2001:3001(1000) ack 1', '. 3001:4001(1000) ack 1');
    peer.expect('. 1:1(0) ack 1', '. 1:1(0) ack 1', '. 1:1(0) ack 1');
  });

  it('takes a FIN that came before its data', () => {
    const { peer, users } = listening();
    peer.handshake('<mss 1460,sackOK>');
    peer.inject('F. 1001:1501(500) ack 1');
    peer.expect('. 1:1(0) ack 1 <sack 1001:1501>');
    expect(users[0].ended).toBe(false);
    peer.inject('. 1:1001(1000) ack 1');
    peer.expect('. 1:1(0) ack 1502');
    expect(users[0].ended).toBe(true);
    expect(states(peer)).toEqual(['CLOSE-WAIT']);
  });

  it('trims what it has, and acknowledges old data again', () => {
    const { peer, users } = listening();
    peer.handshake();
    peer.inject('P. 1:101(100) ack 1', 'P. 51:151(100) ack 1');
    peer.expect('. 1:1(0) ack 151');
    expect(users[0].receivedBytes).toBe(150);
    peer.inject('P. 1:101(100) ack 1');
    peer.expect('. 1:1(0) ack 151');
    expect(users[0].receivedBytes).toBe(150);
  });

  it('takes only what fits its window', () => {
    const { peer, users } = listening({ tcp: { receiveBufferBytes: 2000 } });
    peer.handshake();
    users[0].reading = false;
    peer.inject('. 1:1461(1460) ack 1', '. 1461:2921(1460) ack 1');
    peer.expect('. 1:1(0) ack 2001 win 0');
    // Beyond a shut window data is refused, its acknowledgment is not.
    peer.inject('. 2001:2002(1) ack 1');
    peer.expect('. 1:1(0) ack 2001 win 0');
    users[0].reading = true;
    users[0].readAll();
    peer.expect('. 1:1(0) ack 2001 win 2000');
    expect(users[0].receivedBytes).toBe(2000);
  });

  it.each([
    ['mixed', (i: number) => 1 + ((i * 619) % 1459), 499_000, false],
    ['tiny', () => 1, 20_000, false],
    ['odd', () => 101, 20_000, true],
  ])(
    '%s segments: the window never retreats by more than its scale rounds, nor grows',
    (_, size, total, reading) => {
      const { peer, users } = listening({ tcp: { receiveBufferBytes: 500_000 } });
      peer.inject('S 0:0(0) <mss 1460,wscale 7>');
      peer.expect('S. 0:0(0) ack 1');
      peer.inject('. 1:1(0) ack 1');
      users[0].reading = reading;
      let seq = 1;
      let edge = 1 + 65_535;
      for (let i = 0; seq < total; i++) {
        const length = size(i);
        peer.inject(`P. ${seq}:${seq + length}(${length}) ack 1`);
        seq += length;
        if (i % 3 === 0) peer.clock.advance(50);
        for (const frame of peer.sent.splice(0)) {
          const { ack, window } = peer.ackOf(frame);
          const offered = ack + (window << 3);
          // Where there is room it does not retreat at all.
          expect(offered).toBeGreaterThan(reading ? edge - 1 : edge - 8);
          edge = Math.max(edge, offered);
        }
      }
      expect(edge).toBeLessThanOrEqual(500_001 + (reading ? seq : 0));
      expect(users[0].connection!.rcvScale).toBe(3);
    },
  );

  it('echoes the timestamp of the last segment in order', () => {
    const { peer } = listening();
    peer.inject('S 0:0(0) <mss 1460,TS 1000:0>');
    peer.expect('S. 0:0(0) ack 1');
    const echo = () => peer.timestampsOf(peer.sent.splice(0).at(-1)!).echo;
    peer.inject(
      '. 1:1(0) ack 1 <TS 1010:0>',
      '. 1:1001(1000) ack 1 <TS 1020:0>',
      '. 1001:2001(1000) ack 1 <TS 1030:0>',
    );
    // RFC 7323 4.3: of segments acknowledged together the first one counts.
    expect(echo()).toBe(1020);
    peer.inject('. 3001:4001(1000) ack 1 <TS 1050:0>');
    expect(echo()).toBe(1020);
    peer.inject('. 2001:3001(1000) ack 1 <TS 1060:0>');
    expect(echo()).toBe(1060);
  });

  it('ignores segments without ACK', () => {
    const { peer, users } = listening();
    peer.handshake();
    peer.inject('P 1:101(100)');
    peer.expect();
    expect(users[0].receivedBytes).toBe(0);
  });
});

describe('sending', () => {
  function established(bytes: number, options = '<mss 1000>', win = 65_535) {
    const { peer, users } = listening();
    peer.handshake(options, win);
    const user = users[0];
    user.send(new Uint8Array(bytes));
    return { peer, user };
  }

  const full = (from: number, count: number, ack = 1, size = 1000) =>
    Array.from(
      { length: count },
      (_, i) => `. ${from + i * size}:${from + (i + 1) * size}(${size}) ack ${ack}`,
    );

  it('starts with ten segments and doubles', () => {
    const { peer } = established(50_000);
    peer.expect(...full(1, 10));
    peer.inject('. 1:1(0) ack 5001');
    peer.expect(...full(10_001, 10));
    peer.inject('. 1:1(0) ack 20001');
    peer.expect(...full(20_001, 29), 'P. 49001:50001(1000) ack 1');
  });

  it('marks the last segment with PSH', () => {
    const { peer } = established(1500);
    peer.expect('. 1:1001(1000) ack 1', 'P. 1001:1501(500) ack 1');
  });

  it('Nagle: one small segment in flight', () => {
    const { peer, user } = established(10);
    peer.expect('P. 1:11(10) ack 1');
    user.send(new Uint8Array(10));
    user.send(new Uint8Array(10));
    peer.expect();
    peer.inject('. 1:1(0) ack 11');
    peer.expect('P. 11:31(20) ack 1');
  });

  it('setNoDelay: small segments at once', () => {
    const { peer, user } = established(10);
    user.connection!.noDelay = true;
    peer.expect('P. 1:11(10) ack 1');
    user.send(new Uint8Array(5));
    peer.expect('P. 11:16(5) ack 1');
    user.send(new Uint8Array(5));
    peer.expect('P. 16:21(5) ack 1');
  });

  it('keeps within the window of the peer', () => {
    const { peer } = established(5000, '<mss 1000>', 2500);
    peer.expect('. 1:1001(1000) ack 1', '. 1001:2001(1000) ack 1');
    peer.inject('. 1:1(0) ack 2001 win 3000');
    peer.expect('. 2001:3001(1000) ack 1', '. 3001:4001(1000) ack 1', 'P. 4001:5001(1000) ack 1');
  });

  it('probes a shut window, with back-off, for as long as it is answered', () => {
    const { peer, user } = established(3000, '<mss 1000>', 1000);
    peer.expect('. 1:1001(1000) ack 1');
    peer.inject('. 1:1(0) ack 1001 win 0');
    peer.expect();
    const atMs: number[] = [];
    let lastMs = peer.clock.nowMs;
    for (let i = 0; i < 12; i++) {
      while (peer.sent.length === 0) peer.clock.step();
      peer.expect('. 1000:1000(0) ack 1');
      atMs.push(Math.round(peer.clock.nowMs - lastMs));
      lastMs = peer.clock.nowMs;
      peer.inject('. 1:1(0) ack 1001 win 0');
    }
    for (let i = 1; i < atMs.length; i++) expect(atMs[i]).toBe(Math.min(60_000, atMs[i - 1] * 2));
    for (let i = 0; i < 30; i++) {
      peer.clock.advance(60_000);
      peer.inject('. 1:1(0) ack 1001 win 0');
    }
    expect(user.isClosed).toBe(false);
    peer.discard();
    peer.inject('. 1:1(0) ack 1001 win 20000');
    peer.expect('. 1001:2001(1000) ack 1', 'P. 2001:3001(1000) ack 1');
  });

  it('gives up a peer that does not answer probes', () => {
    const { peer, user } = established(3000, '<mss 1000>', 1000);
    peer.inject('. 1:1(0) ack 1001 win 0');
    peer.clock.advance(20 * 60_000);
    expect(user.code).toBe('ETIMEDOUT');
    expect(peer.clock.timers).toBe(0);
  });

  it('uses a small window when nothing better comes', () => {
    const { peer } = established(3000, '<mss 1000>', 5000);
    peer.expect('. 1:1001(1000) ack 1', '. 1001:2001(1000) ack 1', 'P. 2001:3001(1000) ack 1');
    const { peer: other } = established(3000, '<mss 1000>', 5000);
    other.discard();
    other.inject('. 1:1(0) ack 2001 win 1000', '. 1:1(0) ack 3001 win 100');
    other.expect();
  });

  it('retransmits after the timeout, backing off, and ends with ETIMEDOUT', () => {
    const { peer, user } = established(500);
    peer.expect('P. 1:501(500) ack 1');
    const atMs: number[] = [];
    let lastMs = peer.clock.nowMs;
    while (peer.clock.step() && !user.isClosed) {
      if (peer.sent.length === 0) continue;
      peer.expect('P. 1:501(500) ack 1');
      atMs.push(peer.clock.nowMs - lastMs);
      lastMs = peer.clock.nowMs;
    }
    expect(atMs).toHaveLength(15);
    expect(atMs[0]).toBe(200);
    for (let i = 1; i < 15; i++) expect(atMs[i]).toBe(Math.min(60_000, atMs[i - 1] * 2));
    expect(user.code).toBe('ETIMEDOUT');
    peer.expect('R. 501:501(0) ack 1');
    expect(peer.clock.timers).toBe(0);
  });

  it('recovers from one loss by three duplicate acknowledgments (NewReno)', () => {
    const { peer } = established(10_000);
    peer.discard();
    peer.inject('. 1:1(0) ack 1', '. 1:1(0) ack 1');
    peer.expect();
    peer.inject('. 1:1(0) ack 1');
    peer.expect('. 1:1001(1000) ack 1');
    peer.inject('. 1:1(0) ack 10001');
    peer.expect();
    expect(peer.stack.statistics.retransmits).toBe(1);
    expect(peer.stack.statistics.timeouts).toBe(0);
  });

  it('a partial acknowledgment names the next hole (RFC 6582)', () => {
    const { peer } = established(10_000);
    peer.discard();
    peer.inject(...new Array(7).fill('. 1:1(0) ack 1'));
    peer.expect('. 1:1001(1000) ack 1');
    peer.inject('. 1:1(0) ack 4001');
    peer.expect('. 4001:5001(1000) ack 1');
    peer.inject('. 1:1(0) ack 10001');
    peer.expect();
  });

  it('retransmits exactly the holes that SACK shows (RFC 6675)', () => {
    const { peer } = established(10_000, '<mss 1000,sackOK>');
    peer.discard();
    peer.inject('. 1:1(0) ack 1001 <sack 2001:3001>', '. 1:1(0) ack 1001 <sack 2001:3001 4001:5001>');
    peer.expect();
    peer.inject('. 1:1(0) ack 1001 <sack 5001:7001 2001:3001 4001:5001>');
    // The pipe has room for one: half of the flight of 9, less the 3 segments above the last block.
    peer.expect('. 1001:2001(1000) ack 1');
    peer.inject('. 1:1(0) ack 3001 <sack 4001:7001>');
    peer.expect('. 3001:4001(1000) ack 1');
    peer.inject('. 1:1(0) ack 7001');
    peer.expect();
    peer.inject('. 1:1(0) ack 10001');
    peer.expect();
    expect(peer.stack.statistics.fastRecoveries).toBe(1);
  });

  it('after a timeout sends what is not SACKed again, in slow start', () => {
    const { peer } = established(5000, '<mss 1000,sackOK>');
    peer.discard();
    peer.inject('. 1:1(0) ack 1 <sack 2001:3001>');
    peer.expect();
    peer.clock.advance(250);
    peer.expect('. 1:1001(1000) ack 1');
    peer.inject('. 1:1(0) ack 1001 <sack 2001:3001>');
    peer.expect('. 1001:2001(1000) ack 1', '. 3001:4001(1000) ack 1');
    peer.inject('. 1:1(0) ack 4001');
    peer.expect('P. 4001:5001(1000) ack 1');
  });

  it('ignores SACK blocks outside of what was sent', () => {
    const { peer, user } = established(3000, '<mss 1000,sackOK>');
    peer.discard();
    peer.inject(
      '. 1:1(0) ack 1 <sack 90001:95001>',
      '. 1:1(0) ack 1 <sack 2001:1001>',
      '. 1:1(0) ack 1 <sack -500:100>',
      '. 1:1(0) ack 1 <sack 3000:3002>',
    );
    peer.expect();
    expect(user.connection!.scoreboard.count).toBe(0);
  });

  it('trusts SACK blocks no more after a second timeout (RFC 2018 8)', () => {
    const { peer } = established(5000, '<mss 1000,sackOK>');
    peer.discard();
    peer.inject('. 1:1(0) ack 1 <sack 1001:4001>');
    peer.discard();
    peer.clock.advance(100_000);
    peer.discard();
    // The receiver had thrown away what it held.
    peer.inject('. 1:1(0) ack 1001');
    peer.expect('. 1001:2001(1000) ack 1', '. 2001:3001(1000) ack 1');
    peer.inject('. 1:1(0) ack 3001');
    peer.expect('. 3001:4001(1000) ack 1', 'P. 4001:5001(1000) ack 1');
  });

  it('starts again with ten segments after a pause', () => {
    const { peer, user } = established(100_000);
    peer.discard();
    for (let acked = 10_001; acked < 100_001; acked += 10_000) peer.inject(`. 1:1(0) ack ${acked}`);
    peer.inject('. 1:1(0) ack 100001');
    expect(user.connection!.cwnd).toBeGreaterThan(30_000);
    peer.clock.advance(1000);
    peer.discard();
    user.send(new Uint8Array(50_000));
    peer.expect(...full(100_001, 10));
  });

  it('a reset that comes back from inside transmit ends it at once', () => {
    let count = 0;
    const { peer, user } = established(0);
    const transmit = peer.sent.push.bind(peer.sent);
    peer.sent.push = (frame) => {
      count++;
      if (count === 3) peer.stack.receive(peer.frame('R 1:1(0)'));
      return transmit(frame);
    };
    user.send(new Uint8Array(8000));
    peer.clock.settle();
    expect(user.code).toBe('ECONNRESET');
    expect(states(peer)).toEqual([]);
  });

  it('sends keepalive probes and gives a dead peer up', () => {
    const { peer, user } = established(0);
    user.connection!.setKeepAlive(true, 5000);
    peer.clock.advance(4999);
    peer.expect();
    peer.clock.advance(1);
    peer.expect('. 0:0(0) ack 1');
    peer.inject('. 1:1(0) ack 1');
    peer.clock.advance(4999);
    peer.expect();
    peer.clock.advance(10_001);
    expect(user.code).toBe('ETIMEDOUT');
    const frames = peer.sent.splice(0);
    expect(frames).toHaveLength(11);
  });

  it('answers a keepalive probe', () => {
    const { peer } = established(0);
    peer.inject('. 0:0(0) ack 1');
    peer.expect('. 1:1(0) ack 1');
  });
});

describe('closing', () => {
  function established() {
    const { peer, users } = listening();
    peer.handshake();
    return { peer, user: users[0] };
  }

  it('actively: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT, gone after a second', () => {
    const { peer, user } = established();
    user.connection!.shutdown();
    peer.expect('F. 1:1(0) ack 1');
    expect(states(peer)).toEqual(['FIN-WAIT-1']);
    peer.inject('. 1:1(0) ack 2');
    peer.expect();
    expect(states(peer)).toEqual(['FIN-WAIT-2']);
    peer.inject('P. 1:11(10) ack 2');
    expect(user.receivedBytes).toBe(10);
    peer.inject('F. 11:11(0) ack 2');
    peer.expect('. 2:2(0) ack 12');
    expect(states(peer)).toEqual(['TIME-WAIT']);
    peer.clock.advance(500);
    peer.inject('F. 11:11(0) ack 2');
    peer.expect('. 2:2(0) ack 12');
    peer.clock.advance(999);
    expect(states(peer)).toEqual(['TIME-WAIT']);
    peer.clock.advance(1);
    expect(states(peer)).toEqual([]);
    expect(user.events).toEqual(['connected', 'end', 'closed']);
  });

  it('passively: CLOSE-WAIT, LAST-ACK, gone', () => {
    const { peer, user } = established();
    peer.inject('F. 1:1(0) ack 1');
    peer.expect('. 1:1(0) ack 2');
    expect(states(peer)).toEqual(['CLOSE-WAIT']);
    user.send(new Uint8Array(5));
    peer.expect('P. 1:6(5) ack 2');
    user.connection!.shutdown();
    peer.expect('F. 6:6(0) ack 2');
    expect(states(peer)).toEqual(['LAST-ACK']);
    peer.inject('. 2:2(0) ack 7');
    expect(states(peer)).toEqual([]);
    expect(user.events).toEqual(['connected', 'end', 'closed']);
    expect(peer.clock.timers).toBe(0);
  });

  it('simultaneously: CLOSING, TIME-WAIT', () => {
    const { peer, user } = established();
    user.connection!.shutdown();
    peer.expect('F. 1:1(0) ack 1');
    peer.inject('F. 1:1(0) ack 1');
    peer.expect('. 2:2(0) ack 2');
    expect(states(peer)).toEqual(['CLOSING']);
    peer.inject('. 2:2(0) ack 2');
    expect(states(peer)).toEqual(['TIME-WAIT']);
  });

  it('FIN and its acknowledgment in one segment', () => {
    const { peer, user } = established();
    user.connection!.shutdown();
    peer.expect('F. 1:1(0) ack 1');
    peer.inject('F. 1:1(0) ack 2');
    peer.expect('. 2:2(0) ack 2');
    expect(states(peer)).toEqual(['TIME-WAIT']);
  });

  it('puts the FIN on the last data', () => {
    const { peer, user } = established();
    user.endAfterWrite = true;
    user.send(new Uint8Array(100));
    peer.expect('FP. 1:101(100) ack 1');
  });

  it('retransmits data with the FIN', () => {
    const { peer, user } = established();
    user.endAfterWrite = true;
    user.send(new Uint8Array(100));
    peer.discard();
    peer.clock.advance(200);
    peer.expect('FP. 1:101(100) ack 1');
    peer.inject('. 1:1(0) ack 101');
    peer.expect();
    peer.clock.advance(200);
    peer.expect('F. 101:101(0) ack 1');
    peer.inject('. 1:1(0) ack 102');
    peer.expect();
    expect(states(peer)).toEqual(['FIN-WAIT-2']);
  });

  it('a user that closes with bytes unread resets', () => {
    const { peer, user } = established();
    user.reading = false;
    peer.inject('P. 1:11(10) ack 1');
    peer.discard();
    user.connection!.close();
    peer.expect('R. 1:1(0) ack 11');
    expect(states(peer)).toEqual([]);
  });

  it('data for a user that has gone is answered with a reset', () => {
    const { peer, user } = established();
    user.connection!.close();
    peer.expect('F. 1:1(0) ack 1');
    peer.inject('. 1:1(0) ack 2', 'P. 1:11(10) ack 2');
    peer.expect('R. 2:2(0) ack 1');
    expect(states(peer)).toEqual([]);
  });

  it.each([true, false])('a shut window holds a connection without user only so long', (inFlight) => {
    const { peer, user } = established();
    user.send(new Uint8Array(1000));
    peer.discard();
    peer.inject('. 1:1(0) ack 1001 win 0');
    if (inFlight) peer.inject('. 1:1(0) ack 1001 win 2000');
    user.send(new Uint8Array(1000));
    user.connection!.close();
    peer.discard();
    expect(user.connection!.sndNxt === user.connection!.sndUna).toBe(!inFlight);
    peer.inject('. 1:1(0) ack 1001 win 0');
    for (let i = 0; i < 30 && states(peer).length > 0; i++) {
      peer.clock.advance(60_000);
      peer.inject('. 1:1(0) ack 1001 win 0');
    }
    expect(states(peer)).toEqual([]);
    expect(peer.clock.timers).toBe(0);
  });

  it('a connection without user does not wait for ever for the FIN of the peer', () => {
    const { peer, user } = established();
    user.connection!.close();
    peer.discard();
    peer.inject('. 1:1(0) ack 2');
    expect(states(peer)).toEqual(['FIN-WAIT-2']);
    peer.clock.advance(60_000);
    expect(states(peer)).toEqual([]);
    expect(peer.clock.timers).toBe(0);
  });

  it('a newer SYN takes over a TIME-WAIT connection, an older one is acknowledged', () => {
    const { peer, user } = established();
    user.connection!.shutdown();
    peer.discard();
    peer.inject('F. 1:1(0) ack 2');
    expect(states(peer)).toEqual(['TIME-WAIT']);
    peer.discard();
    peer.inject('S -100:-100(0)');
    peer.expect('. 2:2(0) ack 2');
    peer.inject('S 5000:5000(0)');
    peer.expect('S. 0:0(0) ack 5001');
    expect(states(peer)).toEqual(['SYN-RECV']);
  });
});

describe('resets (RFC 5961)', () => {
  function established() {
    const { peer, users } = listening();
    peer.handshake();
    return { peer, user: users[0] };
  }

  it('the exact sequence number resets', () => {
    const { peer, user } = established();
    peer.inject('R 1:1(0)');
    expect(user.events).toEqual(['connected', 'closed ECONNRESET']);
    expect(states(peer)).toEqual([]);
    peer.expect();
  });

  it('another one in the window is challenged, outside of it ignored', () => {
    const { peer, user } = established();
    peer.inject('R 100:100(0)');
    peer.expect('. 1:1(0) ack 1');
    peer.inject('R 900000:900000(0)', 'R -1:-1(0)');
    peer.expect();
    expect(user.isClosed).toBe(false);
  });

  it('a SYN in the window is challenged', () => {
    const { peer, user } = established();
    peer.inject('S 50:50(0)');
    peer.expect('. 1:1(0) ack 1');
    expect(user.isClosed).toBe(false);
  });

  it('acknowledgments of what was never sent are challenged', () => {
    const { peer } = established();
    peer.inject('P. 1:11(10) ack 5000');
    peer.expect('. 1:1(0) ack 1');
  });

  it('challenges are limited', () => {
    const { peer } = established();
    for (let i = 0; i < 50; i++) peer.inject('R 100:100(0)');
    expect(peer.sent.length).toBeLessThanOrEqual(10);
    peer.discard();
    peer.clock.advance(1000);
    peer.inject('R 100:100(0)');
    peer.expect('. 1:1(0) ack 1');
  });

  it('a reset in CLOSE-WAIT is EPIPE', () => {
    const { peer, user } = established();
    peer.inject('F. 1:1(0) ack 1', 'R 2:2(0)');
    expect(user.code).toBe('EPIPE');
  });

  it('abort sends a reset', () => {
    const { peer, user } = established();
    user.connection!.abort();
    peer.expect('R. 1:1(0) ack 1');
    expect(states(peer)).toEqual([]);
  });
});

describe('timestamps (RFC 7323)', () => {
  function established() {
    const { peer, users } = listening();
    peer.inject('S 0:0(0) <mss 1460,TS 1000:0>');
    peer.expect('S. 0:0(0) ack 1');
    peer.inject('. 1:1(0) ack 1 <TS 1001:0>');
    return { peer, user: users[0] };
  }

  it('PAWS: an older timestamp is dropped and answered', () => {
    const { peer, user } = established();
    peer.inject('P. 1:11(10) ack 1 <TS 999:0>');
    peer.expect('. 1:1(0) ack 1 <TS>');
    expect(user.receivedBytes).toBe(0);
    expect(peer.stack.statistics.pawsDrops).toBe(1);
    peer.inject('P. 1:11(10) ack 1 <TS 1002:0>');
    expect(user.receivedBytes).toBe(10);
  });

  it('a recovery that proves needless is undone (Eifel)', () => {
    const { peer, user } = established();
    user.send(new Uint8Array(20_000));
    peer.clock.settle();
    const firstStamp = peer.timestampsOf(peer.sent[0]).value;
    peer.discard();
    const { cwnd } = user.connection!;
    peer.clock.advance(5);
    for (let i = 0; i < 3; i++) peer.inject(`. 1:1(0) ack 1 <TS 1002:${firstStamp}>`);
    expect(user.connection!.cwnd).toBeLessThan(cwnd);
    expect(peer.sent.length).toBeGreaterThan(0);
    peer.discard();
    // The first copy had only been late: its own timestamp comes back.
    peer.inject(`. 1:1(0) ack 14481 <TS 1002:${firstStamp}>`);
    expect(user.connection!.cwnd).toBeGreaterThanOrEqual(cwnd);
    expect(peer.stack.statistics.spuriousRecoveries).toBe(1);
  });

  it('a recovery that was needed is not', () => {
    const { peer, user } = established();
    user.send(new Uint8Array(20_000));
    peer.clock.settle();
    const firstStamp = peer.timestampsOf(peer.sent[0]).value;
    peer.discard();
    peer.clock.advance(5);
    for (let i = 0; i < 3; i++) peer.inject(`. 1:1(0) ack 1 <TS 1002:${firstStamp}>`);
    const secondStamp = peer.timestampsOf(peer.sent[0]).value;
    const { cwnd } = user.connection!;
    peer.inject(`. 1:1(0) ack 1449 <TS 1002:${secondStamp}>`);
    // Only the first acknowledgment after the retransmission tells.
    peer.inject(`. 1:1(0) ack 2897 <TS 1002:${firstStamp}>`);
    expect(user.connection!.cwnd).toBe(cwnd);
    expect(peer.stack.statistics.spuriousRecoveries).toBe(0);
  });

  it('PAWS does not keep a reset out', () => {
    const { peer, user } = established();
    peer.inject('R. 1:1(0) ack 1 <TS 1:0>');
    expect(user.code).toBe('ECONNRESET');
  });
});
