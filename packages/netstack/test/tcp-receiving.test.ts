import { describe, expect, it } from 'vitest';
import { listening, states } from './scripted-connection.ts';

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
