/** Swapping snapshots. */

import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { describe, expect, it } from 'vitest';
import { DROP_REASONS, dropReasonName, dropReasonText } from '../src/drop-reasons.ts';
import { Pipeline } from '../src/pipeline.ts';
import type { Tables } from '../src/tables.ts';
import {
  ACK,
  answerTo,
  Cluster,
  endpoint,
  GATEWAY,
  NODES,
  podAddress,
  SYN,
  service,
  setMacs,
  tablesOf,
  tcp,
} from './cluster.ts';

const base = tablesOf(NODES[0], [service({ endpoints: [endpoint(2, 1, 8080, 4)] })], 'iptables');
const pipelineOf = (tables: Tables) => new Pipeline({ nowMs: () => 0, random32: seededRandom32(1), tables });
const A = podAddress(1, 1, 4);

describe('a new snapshot', () => {
  it('is what the next packet sees; flows stay', () => {
    const cluster = new Cluster({
      mode: 'iptables',
      services: [service({ endpoints: [endpoint(2, 1, 8080, 4)] })],
    });
    const there = cluster.fromPod(1, 1, tcp(A, 1000, '10.96.0.9', 80, SYN));
    cluster.fromPod(2, 1, answerTo(there.frame));
    cluster.setServices([service({ endpoints: [endpoint(3, 1, 8080, 4)] })]);
    expect(cluster.fromPod(1, 1, tcp(A, 1000, '10.96.0.9', 80, ACK)).at).toBe('pod-2-1');
    expect(cluster.fromPod(1, 1, tcp(A, 1001, '10.96.0.9', 80, SYN)).at).toBe('pod-3-1');
  });

  it('takes pods away and brings new ones', () => {
    const pipeline = pipelineOf(base);
    const frame = tcp(A, 1, podAddress(1, 2, 4), 80, SYN);
    setMacs(frame, NODES[0].pods[0].mac, GATEWAY);
    expect(pipeline.fromPod(1, frame, frame.length).verdict).toBe('deliver');
    const [stays] = base.endpoints;
    const routes = base.routes.filter(
      ({ target }) => target.kind !== 'endpoint' || target.endpointId === stays.id,
    );
    pipeline.tables = { ...base, epoch: 2, endpoints: [stays], routes };
    expect(pipeline.fromPod(2, frame, frame.length)).toMatchObject({ verdict: 'drop', reason: 203 });
    expect(pipeline.fromPod(1, frame, frame.length)).toMatchObject({ verdict: 'reply', reason: 164 });
  });

  it('may change the mode; flows of the kernel are not those of Cilium', () => {
    const pipeline = pipelineOf(base);
    const frame = tcp(A, 1, '10.96.0.9', 80, SYN);
    setMacs(frame, NODES[0].pods[0].mac, GATEWAY);
    expect(pipeline.fromPod(1, frame, frame.length).verdict).toBe('encap');
    pipeline.tables = { ...base, epoch: 2, mode: 'ebpf' };
    expect([pipeline.services.mode, pipeline.fromPod(1, frame, frame.length).verdict]).toEqual([
      'ebpf',
      'encap',
    ]);
    expect(pipeline.conntrack.list(0).filter((entry) => entry.isServiceChoice).length).toBe(1);
    pipeline.tables = { ...base, epoch: 3 };
    expect([pipeline.services.mode, pipeline.fromPod(1, frame, frame.length).verdict]).toEqual([
      'iptables',
      'encap',
    ]);
  });

  const broken: [string, Partial<Tables>, string][] = [
    [
      'a prefix',
      { routes: [{ prefix: '10.0.0.0/33', target: { kind: 'host' } }] },
      'Cannot use prefix "10.0.0.0/33"',
    ],
    ['a MAC', { node: { ...base.node, vtepMac: 'nonsense' } }, 'Cannot use MAC "nonsense"'],
    [
      'a pod address',
      { endpoints: [{ ...base.endpoints[0], addresses: ['10.244.1'] }] },
      'Cannot use "10.244.1"',
    ],
    [
      'an endpoint',
      { routes: [{ prefix: '10.0.0.1/32', target: { kind: 'endpoint', endpointId: 77 } }] },
      'endpoint 77',
    ],
    ['a mode', { mode: 'kernel' as never }, 'Cannot run service mode "kernel"'],
  ];
  it.each(broken)('that names %s wrongly is refused, and the old one stays', (_what, change, message) => {
    const pipeline = pipelineOf(base);
    expect(() => {
      pipeline.tables = { ...base, ...change };
    }).toThrow(message);
    expect(pipeline.tables).toBe(base);
    const frame = tcp(A, 1, podAddress(1, 2, 4), 80, SYN);
    setMacs(frame, NODES[0].pods[0].mac, GATEWAY);
    expect(pipeline.fromPod(1, frame, frame.length).verdict).toBe('deliver');
  });
});

describe('ebpf maps', () => {
  it('keep backend ids and reverse NAT indexes of what stays, and lose all of what goes', () => {
    const api = (last: number) =>
      service({ nodePort: 30080, endpoints: [endpoint(2, 1, 8080, 4), endpoint(last, 2, 8080, 4)] });
    const other = service({
      name: 'web/other',
      clusterIp: '10.96.0.10',
      endpoints: [endpoint(2, 1, 8080, 4)],
    });
    const cluster = new Cluster({ mode: 'ebpf', services: [api(2), other] });
    const maps = () => {
      const services = cluster.pipelines[0].services as unknown as {
        maps: import('../src/service/ebpf-maps.ts').EbpfMaps;
      };
      return services.maps;
    };
    const values = () =>
      maps()
        .list()
        .map((value) => [
          value.kind,
          value.frontendAddress,
          value.reverseNat,
          Array.from({ length: value.count }, (_, i) => maps().slot(value, i + 1)),
        ]);
    const before = values();
    expect(before).toEqual([
      ['ClusterIP', '10.96.0.9', 1, [1, 2]],
      ['NodePort', '172.18.0.1', 2, [1, 2]],
      ['ClusterIP', '10.96.0.10', 3, [1]],
    ]);
    cluster.setServices([api(3), other]);
    expect(values()).toEqual([
      ['ClusterIP', '10.96.0.9', 1, [1, 3]],
      ['NodePort', '172.18.0.1', 2, [1, 3]],
      ['ClusterIP', '10.96.0.10', 3, [1]],
    ]);
    expect(maps().backend(2)).toBeUndefined();
    cluster.setServices([other]);
    expect(values()).toEqual([['ClusterIP', '10.96.0.10', 3, [1]]]);
    expect(maps().frontend(1)).toBeUndefined();
    const [value] = maps().list();
    expect(maps().lookup(0, 0, 0xffff, value.frontend.words[3], 80, 6, true)).toBe(value);
    expect(maps().slot(value, 1)).toBe(1);
    cluster.setServices([]);
    expect(maps().slot(value, 1)).toBe(-1);
    expect(maps().lookup(0, 0, 0xffff, value.frontend.words[3], 80, 6, true)).toBeUndefined();
    expect(maps().isFrontendAddress(0, 0, 0xffff, value.frontend.words[3])).toBe(false);
  });
});

describe('drop reasons', () => {
  it('are one closed list with a text for each', () => {
    const codes = Object.values(DROP_REASONS);
    expect(new Set(codes).size).toBe(codes.length);
    for (const [name, code] of Object.entries(DROP_REASONS)) {
      expect(dropReasonName(code)).toBe(name);
      expect(dropReasonText(code)).toMatch(/^[A-Z].+/);
    }
    expect([dropReasonText(0), dropReasonText(1), dropReasonName(1)]).toEqual([
      'Forwarded',
      'Unknown reason 1',
      undefined,
    ]);
  });
});
