import { existsSync } from 'node:fs';
import { ApiClient } from '../api-client.ts';
import { Complaint } from '../complaint.ts';
import { labPaths, readLab } from '../home.ts';
import { isReady, type List, type NodeObject, type PodObject } from '../kube-types.ts';
import { type OutputFormat, paint, printJson, say } from '../output.ts';
import { isRunning, readProcesses, residentBytes } from '../processes.ts';
import { formatTable } from '../table.ts';

export async function status(options: { name: string; output: OutputFormat }): Promise<void> {
  const paths = labPaths(options.name);
  if (!existsSync(paths.lab))
    throw new Complaint(`There is no lab "${options.name}": start one with "podwire up"`);
  const lab = readLab(paths);
  const records = readProcesses(paths);
  const controllerRuns = records.some((record) => record.name === 'controller' && isRunning(record));

  let nodes: NodeObject[] = [];
  let pods: PodObject[] = [];
  let unreachable: string | undefined;
  if (controllerRuns) {
    const api = ApiClient.ofLab(paths);
    try {
      nodes = (await api.get<List<NodeObject>>('/api/v1/nodes', 3_000)).items;
      pods = (await api.get<List<PodObject>>('/api/v1/pods', 3_000)).items;
    } catch (error) {
      unreachable = (error as Error).message;
    } finally {
      api.close();
    }
  } else unreachable = 'the controller does not run; nodes keep forwarding with what they last knew';

  const processes = ['controller', ...lab.nodes.map((node) => node.name)].map((name) => {
    const record = records.find((candidate) => candidate.name === name);
    const running = record !== undefined && isRunning(record);
    const node = nodes.find((candidate) => candidate.metadata.name === name);
    const address =
      name === 'controller' ? lab.controller.address : lab.nodes.find((n) => n.name === name)!.address;
    const own = pods.filter((pod) => pod.spec.nodeName === name);
    return {
      name,
      pid: running ? record.pid : undefined,
      state: running ? 'running' : 'stopped',
      address,
      ready:
        name === 'controller'
          ? undefined
          : node === undefined
            ? 'unknown'
            : isReady(node)
              ? 'Ready'
              : 'NotReady',
      zone: lab.nodes.find((n) => n.name === name)?.zone,
      podCIDR: node?.spec.podCIDRs?.join(',') ?? node?.spec.podCIDR,
      pods: name === 'controller' ? undefined : own.length,
      podsReady: name === 'controller' ? undefined : own.filter(isReady).length,
      residentBytes: running ? residentBytes(record.pid) : undefined,
    };
  });

  if (options.output === 'json') {
    return printJson({
      lab: lab.name,
      mode: lab.mode,
      dir: paths.dir,
      kubeconfig: paths.kubeconfig,
      unreachable,
      processes,
    });
  }
  say(
    `Lab "${lab.name}", mode ${lab.mode}, pods ${lab.podCIDRs.join(' ')}, services ${lab.serviceCIDRs.join(' ')}`,
  );
  if (unreachable) say(paint('yellow', `API: ${unreachable}`));
  say(
    formatTable(
      ['PROCESS', 'PID', 'STATE', 'ADDRESS', 'NODE', 'ZONE', 'POD CIDR', 'PODS', 'MEMORY'],
      processes.map((p) => [
        p.name,
        String(p.pid ?? '-'),
        p.state,
        p.address,
        p.ready ?? '-',
        p.zone ?? '-',
        p.podCIDR ?? '-',
        p.pods === undefined ? '-' : `${p.podsReady}/${p.pods}`,
        p.residentBytes === undefined ? '-' : `${(p.residentBytes / 2 ** 20).toFixed(0)} MB`,
      ]),
    ),
  );
}
