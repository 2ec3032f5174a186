/** Compiled tables carry packets: two nodes, a Service, and the answer. */

import { Pipeline } from '@podwire/dataplane/pipeline';
import { PacketTrace } from '@podwire/dataplane/trace';
import { buildTcp } from '@podwire/wire/build';
import { describe as describeFrame } from '@podwire/wire/describe';
import { describe, expect, it } from 'vitest';
import { compileTables } from '../src/tables.ts';
import { input, node, service, slice } from './objects.ts';

const nodes = [node(1), node(2)];
const services = [
  service({ type: 'NodePort', ports: [{ name: 'http', port: 80, nodePort: 30080, targetPort: 'web' }] }),
];
const endpointSlices = [
  slice([{ at: '10.244.2.5', on: 2, targetRef: { kind: 'Pod', namespace: 'web', name: 'api-0' } }], {
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
  }),
];
const pod = (n: number) => ({
  id: 1,
  namespace: 'web',
  name: `pod-${n}`,
  addresses: [`10.244.${n}.5`],
  mac: `0a:00:00:00:0${n}:01`,
});

describe.each(['iptables', 'ebpf'] as const)('mode %s', (mode) => {
  const [one, two] = [1, 2].map((n) => {
    const tables = compileTables(
      input({ nodeName: `node-${n}`, mode, nodes, services, endpointSlices, localEndpoints: [pod(n)] }),
    );
    return new Pipeline({ nowMs: () => 0, random32: () => 7, tables });
  });

  it('a pod reaches a pod of another node through a Service, and is answered by the Service', () => {
    const asked = buildTcp({
      src: '10.244.1.5',
      srcPort: 4000,
      dst: '10.96.0.9',
      dstPort: 80,
      flags: 2,
      srcMac: pod(1).mac,
      dstMac: 'ee:ee:ee:ee:ee:ee',
    });
    const trace = new PacketTrace();
    const sent = one.fromPod(1, asked, asked.length, trace);
    expect(sent).toMatchObject({ verdict: 'encap', vtep: { node: 'node-2', address: '172.18.0.2' } });
    expect(trace.steps.find((step) => step.stage === 'service')?.text).toContain(
      'svc web/api:http, backend 1 of 1',
    );
    const datagram = sent.frame.slice();
    const arrived = two.fromUnderlay(datagram, datagram.length, '172.18.0.1');
    expect(arrived).toMatchObject({ verdict: 'deliver', endpointId: 1 });
    expect(describeFrame(arrived.frame)).toContain('10.244.1.5.4000 > 10.244.2.5.8080: Flags [S]');

    const answered = buildTcp({
      src: '10.244.2.5',
      srcPort: 8080,
      dst: '10.244.1.5',
      dstPort: 4000,
      flags: 0x12,
      srcMac: pod(2).mac,
      dstMac: 'ee:ee:ee:ee:ee:ee',
    });
    const back = two.fromPod(1, answered, answered.length).frame.slice();
    const delivered = one.fromUnderlay(back, back.length, '172.18.0.2');
    expect(delivered.verdict).toBe('deliver');
    expect(describeFrame(delivered.frame)).toContain('10.96.0.9.80 > 10.244.1.5.4000: Flags [S.]');
  });
});
