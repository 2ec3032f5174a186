import { describe, expect, it } from 'vitest';
import { connecting, listening, states } from './scripted-connection.ts';
import { ScriptedPeer } from './scripted-peer.ts';
import { connectUser, RecordingUser } from './simulated-network.ts';

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
