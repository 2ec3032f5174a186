import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  EXTERNAL_CONTROL,
  EXTERNAL_ETHERNET,
  ExternalFrameError,
  ExternalFrameReader,
  encodeExternalFrame,
} from '../src/external-frames.ts';

function readAll(chunks: Buffer[]): { type: number; payload: number[] }[] {
  const reader = new ExternalFrameReader();
  const frames = [];
  for (const chunk of chunks) {
    for (const { type, payload } of reader.push(chunk)) frames.push({ type, payload: [...payload] });
  }
  return frames;
}

describe('frames of external pods', () => {
  it('have a length, a type and a payload', () => {
    const frame = encodeExternalFrame(EXTERNAL_CONTROL, Buffer.from('{}'));
    expect(frame.toString('hex')).toBe('00000003' + '01' + '7b7d');
  });

  it('are read however they are cut', () => {
    const frame = fc.record({
      type: fc.constantFrom(EXTERNAL_ETHERNET, EXTERNAL_CONTROL),
      payload: fc.array(fc.nat(255), { maxLength: 300 }),
    });
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 50 })),
        (frames, cuts) => {
          const stream = Buffer.concat(
            frames.map(({ type, payload }) => encodeExternalFrame(type, Uint8Array.from(payload))),
          );
          const chunks: Buffer[] = [];
          let at = 0;
          for (const cut of cuts) {
            chunks.push(stream.subarray(at, at + cut));
            at += cut;
          }
          chunks.push(stream.subarray(at));
          expect(readAll(chunks)).toEqual(frames);
        },
      ),
    );
  });

  it('of impossible length end the stream', () => {
    for (const hex of ['0000000000', 'ffffffff00', '0040000200']) {
      expect(() => readAll([Buffer.from(hex, 'hex')])).toThrow(ExternalFrameError);
    }
  });

  it('of any bytes are frames or that error', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), (chunks) => {
        try {
          readAll(chunks.map((chunk) => Buffer.from(chunk)));
        } catch (error) {
          expect(error).toBeInstanceOf(ExternalFrameError);
        }
      }),
    );
  });
});
