import { fileURLToPath } from 'node:url';
import { ApiClient } from '../api-client.ts';
import { applyFile, waitForReady } from '../demo/cluster.ts';
import {
  confusedFacts,
  type DemoContext,
  dnsAnswers,
  nodePortFromHost,
  podToClusterIp,
  podToPodAcrossNodes,
  podToPodSameNode,
  wholeWay,
} from '../demo/flows.ts';
import { Narrator } from '../demo/narrator.ts';
import { labPaths, readLab } from '../home.ts';
import { paint, say } from '../output.ts';
import { formatTable } from '../table.ts';
import { up } from './up.ts';

const SHOP = fileURLToPath(new URL('../../../../deploy/samples/shop.yaml', import.meta.url));

export async function demo(options: { name: string }): Promise<void> {
  const began = performance.now();
  await up({ name: options.name, nodes: 3, timeout: 60, output: 'table' });
  const paths = labPaths(options.name);
  const lab = readLab(paths);
  const api = ApiClient.ofLab(paths);
  const narrator = new Narrator();
  try {
    say('');
    say(
      'Applying deploy/samples/shop.yaml: frontend x2, orders x3, StatefulSet db x2 with a headless Service',
    );
    const applied = performance.now();
    await applyFile(api, SHOP);
    const pods = [
      ...(await waitForReady(api, 'app=frontend', 2)),
      ...(await waitForReady(api, 'app=orders', 3)),
      ...(await waitForReady(api, 'app=db', 2)),
    ];
    say(`All ${pods.length} pods Ready after ${((performance.now() - applied) / 1000).toFixed(2)} s`);
    say('');
    say(
      formatTable(
        ['POD', 'ADDRESS', 'NODE', 'ZONE'],
        pods.map((pod) => [
          pod.metadata.name,
          pod.status.podIP ?? '',
          pod.spec.nodeName ?? '',
          lab.nodes.find((node) => node.name === pod.spec.nodeName)?.zone ?? '',
        ]),
      ),
    );
    const context: DemoContext = { api, lab, narrator };
    await podToPodSameNode(context);
    await podToPodAcrossNodes(context);
    await podToClusterIp(context, 'ebpf');
    await podToClusterIp(context, 'iptables');
    await nodePortFromHost(context);
    await dnsAnswers(context);
    await wholeWay(context);
    await confusedFacts(context);
  } finally {
    api.close();
  }
  say('');
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (narrator.failed.length > 0) {
    say(
      paint(
        'red',
        `${narrator.failed.length} of ${narrator.held + narrator.failed.length} statements did not hold:`,
      ),
    );
    for (const statement of narrator.failed) say(`  ${statement}`);
    process.exitCode = 1;
  } else say(paint('green', `All ${narrator.held} statements held, in ${seconds} s. The lab stays up.`));
  say('');
  say('Go on with your own kubectl and manifests:');
  say(`  export KUBECONFIG=${paths.kubeconfig}`);
  say('  kubectl get pods -o wide');
  say(`  ./podwire trace --name ${options.name} frontend http://orders/`);
  say(`  curl http://${lab.nodes[0]!.address}:30080/`);
  say(`Stop it:  ./podwire down --name ${options.name}`);
}
