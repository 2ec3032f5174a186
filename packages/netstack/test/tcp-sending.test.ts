import { describe, expect, it } from 'vitest';
import { listening, states } from './scripted-connection.ts';

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

  it('notices that a retransmission was lost too, without a timeout', () => {
    const { peer, user } = established(50_000, '<mss 1000,sackOK>');
    peer.discard();
    peer.inject('. 1:1(0) ack 1 <sack 1001:5001>');
    peer.expect('. 1:1001(1000) ack 1');
    // Everything else arrives, and so do new segments sent after the retransmission.
    for (let end = 6001; end <= 13_001; end += 1000) peer.inject(`. 1:1(0) ack 1 <sack 1001:${end}>`);
    const sentAgain = peer.sent.splice(0).filter((frame) => peer.seqOf(frame) === 1);
    expect(sentAgain).toHaveLength(1);
    expect(peer.stack.statistics.timeouts).toBe(0);
    expect(peer.stack.statistics.lostRetransmits).toBe(1);
    expect(user.connection!.lossState).toBe(1);
  });

  it('spreads retransmissions over what arrives (RFC 9937)', () => {
    const { peer } = established(40_000, '<mss 1000,sackOK>');
    peer.discard();
    peer.inject('. 1:1(0) ack 10001');
    peer.discard();
    // 20 segments in flight, the first ten lost.
    const counts: number[] = [];
    for (let end = 21_001; end <= 30_001; end += 1000) {
      peer.inject(`. 1:1(0) ack 10001 <sack 20001:${end}>`);
      counts.push(peer.sent.splice(0).length);
    }
    // Two for the duplicates before recovery, one at its start, then about one for each that arrives.
    expect(Math.max(...counts)).toBeLessThanOrEqual(2);
    expect(counts.reduce((sum, n) => sum + n)).toBeGreaterThanOrEqual(7);
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
