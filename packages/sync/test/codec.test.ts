import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { generateCodec } from '../scripts/generate-codec.ts';
import {
  emitClientFrame,
  emitDelta,
  emitResource,
  emitServerFrame,
  emitSnapshotChunk,
  parseClientFrame,
  parseServerFrame,
} from '../src/codec.ts';
import type { ClientFrame, ServerFrame } from '../src/gen/sync-proto.ts';

const protoText = readFileSync(new URL('../../../proto/sync.proto', import.meta.url), 'utf8');
const root = protobuf.parse(protoText).root;

test('the committed codec is what proto/sync.proto generates', () => {
  const committed = readFileSync(new URL('../src/gen/sync-proto.ts', import.meta.url), 'utf8');
  expect(committed).toBe(generateCodec(protoText));
});

const client: ClientFrame[] = [
  {
    kind: 'hello',
    value: {
      protocolVersion: 1,
      role: 1,
      nodeName: 'node-1',
      sessionId: 'ab',
      resume: { instanceId: 'x', revision: 2 ** 40 },
    },
  },
  { kind: 'ack', value: { nonce: '7', revision: 300 } },
  { kind: 'nack', value: { nonce: '8', revision: 299, error: 'größer' } },
  {
    kind: 'report',
    value: {
      sequence: 3,
      items: [
        { kind: 'heartbeat', value: { ready: true, reason: '', message: 'm' } },
        { kind: 'node', value: { node: Buffer.from('{}') } },
        { kind: 'podStatus', value: { namespace: 'a', name: 'b', uid: 'c', status: Buffer.from('{"a":1}') } },
        { kind: 'podDeleted', value: { namespace: 'a', name: 'b', uid: 'c' } },
        { kind: 'event', value: { event: Buffer.from('{}') } },
      ],
    },
  },
];

const resource = { resource: 'pods', namespace: 'a', name: 'b', revision: 9, object: Buffer.from('{"x":1}') };
const server: ServerFrame[] = [
  {
    kind: 'welcome',
    value: {
      protocolVersion: 1,
      instanceId: 'i',
      revision: 5,
      resumed: true,
      pingIntervalMs: 1000,
      settings: Buffer.from('{}'),
    },
  },
  { kind: 'snapshotBegin', value: { nonce: '1', revision: 5, resourceCount: 2 } },
  { kind: 'snapshotChunk', value: { resources: [resource, resource] } },
  { kind: 'snapshotEnd', value: { nonce: '1' } },
  {
    kind: 'delta',
    value: {
      nonce: '2',
      fromRevision: 5,
      toRevision: 6,
      more: true,
      replaced: ['secrets'],
      removed: [{ resource: 'pods', namespace: 'a', name: 'c' }],
      resources: [resource],
    },
  },
  { kind: 'reportAck', value: { sequence: 3, refused: [{ item: 1, error: 'no' }] } },
];

describe('our codec and protobufjs agree both ways', () => {
  const cases = [
    ...client.map((frame) => ({ type: 'ClientFrame', frame, bytes: emitClientFrame(frame) })),
    ...server.map((frame) => ({ type: 'ServerFrame', frame, bytes: emitServerFrame(frame) })),
  ];
  for (const { type, frame, bytes } of cases) {
    test(`${type}.${frame.kind}`, () => {
      const reflected = root.lookupType(`podwire.sync.v1.${type}`);
      const decoded = reflected.decode(bytes);
      expect(Buffer.from(reflected.encode(decoded).finish())).toEqual(Buffer.from(bytes));
      const back = type === 'ClientFrame' ? parseClientFrame(bytes) : parseServerFrame(bytes);
      expect(back).toEqual(frame);
    });
  }
});

test('golden bytes of an Ack', () => {
  expect(
    Buffer.from(emitClientFrame({ kind: 'ack', value: { nonce: '7', revision: 300 } })).toString('hex'),
  ).toBe(['12 06', '0a 01 37', '10 ac02'].join('').replaceAll(' ', ''));
});

test('spliced elements make the same bytes as an encoder that knows them', () => {
  const object = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'a', name: 'b', resourceVersion: '9' },
  };
  const element = emitResource('pods', object);
  const plain = { ...resource, object: Buffer.from(JSON.stringify(object)) };
  const header = { nonce: '2', fromRevision: 5, toRevision: 6, more: false, replaced: [], removed: [] };
  expect(emitSnapshotChunk([element, element])).toEqual(
    emitServerFrame({ kind: 'snapshotChunk', value: { resources: [plain, plain] } }),
  );
  expect(emitDelta(header, [element])).toEqual(
    emitServerFrame({ kind: 'delta', value: { ...header, resources: [plain] } }),
  );
});

describe('what is no frame', () => {
  const frame = emitClientFrame(client[3]!);

  test('every truncation of a frame is refused', () => {
    for (let length = 1; length < frame.length; length++) {
      expect(parseClientFrame(frame.subarray(0, length)), `${length} bytes`).toBeUndefined();
    }
  });

  test('an integer past 2^53, bytes that are no UTF-8, a message that ends early', () => {
    const bytes = (hex: string) => parseClientFrame(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
    expect(bytes('12 0b 10 ffffffffffffffffff01')).toBeUndefined();
    expect(bytes('12 03 0a 01 ff')).toBeUndefined();
    expect(bytes('12 02 0a 01 37')).toBeUndefined();
    expect(bytes('12 03 0a 01 37')).toMatchObject({ kind: 'ack', value: { nonce: '7' } });
  });

  test('more elements than any frame may have', () => {
    const items = Buffer.alloc(2 * 100_001, Buffer.from('1200', 'hex'));
    const length = Buffer.from([0x22, ...varint(items.length)]);
    expect(parseClientFrame(Buffer.concat([length, items]))).toMatchObject({ value: { items: [] } });
    const heartbeats = Buffer.alloc(4 * 100_001, Buffer.from('12020a00', 'hex'));
    const header = Buffer.from([0x22, ...varint(heartbeats.length)]);
    expect(parseClientFrame(Buffer.concat([header, heartbeats]))).toBeUndefined();
  });

  test('random bytes and random damage never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parseClientFrame(Buffer.from(bytes));
        parseServerFrame(Buffer.from(bytes));
      }),
      { numRuns: 2000 },
    );
    const all = [...client.map((f) => emitClientFrame(f)), ...server.map((f) => emitServerFrame(f))];
    fc.assert(
      fc.property(fc.nat(all.length - 1), fc.nat(), fc.nat(255), (which, at, value) => {
        const damaged = Buffer.from(all[which]!);
        damaged[at % damaged.length] = value;
        parseClientFrame(damaged);
        parseServerFrame(damaged);
      }),
      { numRuns: 3000 },
    );
  });
});

function varint(value: number): number[] {
  const bytes: number[] = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 127) | 128);
  return [...bytes, value];
}
