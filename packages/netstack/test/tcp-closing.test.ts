import { describe, expect, it } from 'vitest';
import { listening, states } from './scripted-connection.ts';

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
