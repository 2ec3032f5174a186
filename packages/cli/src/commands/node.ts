import { existsSync, writeFileSync } from 'node:fs';
import { ApiClient, ApiFailure } from '../api-client.ts';
import { Complaint } from '../complaint.ts';
import { type LabPaths, labPaths, readLab } from '../home.ts';
import { isReady, type NodeObject } from '../kube-types.ts';
import { type Lab, labNode } from '../lab-file.ts';
import { agentArgv, runningProcesses, sleep } from '../lab-lifecycle.ts';
import { type OutputFormat, printJson, say } from '../output.ts';
import { forget, isRunning, type ProcessRecord, signal, startProcess, stopAll } from '../processes.ts';
import { startProgress } from '../progress.ts';

type Verb = 'kill' | 'stop' | 'start' | 'add' | 'remove';

export async function node(
  verb: Verb,
  name: string,
  options: { name: string; zone?: string; output: OutputFormat },
): Promise<void> {
  const paths = labPaths(options.name);
  if (!existsSync(paths.lab))
    throw new Complaint(`There is no lab "${options.name}": start one with "podwire up"`);
  const lab = readLab(paths);
  const known = lab.nodes.find((candidate) => candidate.name === name);
  if (verb === 'add' ? known : !known) {
    throw new Complaint(
      verb === 'add'
        ? `Cannot add node "${name}": lab "${lab.name}" has one of that name`
        : `There is no node "${name}" in lab "${lab.name}"; there are ${lab.nodes.map((n) => n.name).join(', ')}`,
    );
  }
  const record = runningProcesses(paths).find((candidate) => candidate.name === name);
  const report = (text: string, facts: object): void => {
    if (options.output === 'json') printJson({ lab: lab.name, node: name, ...facts });
    else say(text);
  };
  switch (verb) {
    case 'kill': {
      const victim = mustRun(record, name);
      signal(victim, 'SIGKILL');
      while (isRunning(victim)) await sleep(2);
      return report(
        `Node ${name}: process ${victim.pid} killed. "podwire node start ${name}" brings it back.`,
        { killed: victim.pid },
      );
    }
    case 'stop': {
      const victim = mustRun(record, name);
      await stopAll([victim], 3_000);
      return report(`Node ${name}: process ${victim.pid} stopped.`, { stopped: victim.pid });
    }
    case 'start': {
      if (record)
        return report(`Node ${name} runs already (process ${record.pid}).`, { running: record.pid });
      const started = await start(paths, lab, name, options.output);
      return report(`Node ${name} is Ready again (process ${started.pid}).`, { started: started.pid });
    }
    case 'add': {
      if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) {
        throw new Complaint(
          `Cannot add node "${name}": a node name is lower-case letters, digits and dashes, 63 at most`,
        );
      }
      const prefix = lab.controller.address.replace(/\.\d+$/, '');
      const taken = new Set(lab.nodes.map((n) => n.address));
      let index = lab.nodes.length;
      while (taken.has(labNode(index, prefix).address)) index++;
      const added = labNode(index, prefix, { name, ...(options.zone && { zone: options.zone }) });
      const grown = { ...lab, nodes: [...lab.nodes, added] };
      writeFileSync(paths.lab, `${JSON.stringify(grown, null, 2)}\n`, { mode: 0o600 });
      const started = await start(paths, grown, name, options.output);
      return report(`Node ${name} is Ready at ${added.address} (process ${started.pid}).`, {
        started: started.pid,
        address: added.address,
      });
    }
    case 'remove': {
      if (record) await stopAll([record], 3_000);
      const api = ApiClient.ofLab(paths);
      try {
        await api.json('DELETE', `/api/v1/nodes/${name}`);
      } catch (error) {
        if (!(error instanceof ApiFailure && error.status === 404)) throw error;
      } finally {
        api.close();
      }
      forget(paths, name);
      const shrunk = { ...lab, nodes: lab.nodes.filter((n) => n.name !== name) };
      writeFileSync(paths.lab, `${JSON.stringify(shrunk, null, 2)}\n`, { mode: 0o600 });
      return report(`Node ${name} is removed.`, { removed: true });
    }
  }
}

function mustRun(record: ProcessRecord | undefined, name: string): ProcessRecord {
  if (!record) throw new Complaint(`Node ${name} does not run; "podwire node start ${name}" starts it`);
  return record;
}

async function start(paths: LabPaths, lab: Lab, name: string, output: OutputFormat): Promise<ProcessRecord> {
  const progress = startProgress(output === 'json');
  const record = startProcess(paths, name, agentArgv(paths, lab.nodes.find((n) => n.name === name)!));
  progress.stage(`Waiting for ${name} to be Ready`);
  const api = ApiClient.ofLab(paths);
  const since = Date.now();
  try {
    for (;;) {
      if (!isRunning(record)) throw new Complaint(`Node ${name} ended at once; see "podwire logs ${name}"`);
      if (await readyAgain(api, name, since)) return record;
      if (Date.now() - since > 30_000)
        throw new Complaint(`Node ${name} was not Ready within 30 s; see "podwire logs ${name}"`);
      await sleep(20);
    }
  } finally {
    progress.stop();
    api.close();
  }
}

/** Ready by this very process: a kill within the grace leaves the old Ready condition standing for a while. */
async function readyAgain(api: ApiClient, name: string, sinceMs: number): Promise<boolean> {
  try {
    const found = await api.get<NodeObject>(`/api/v1/nodes/${name}`);
    if (!isReady(found)) return false;
    await api.node(name, 'GET', '/podwire/tables', undefined, 1_000);
    return Date.now() - sinceMs > 0;
  } catch {
    return false;
  }
}
