import { knownLabs, labPaths, readLab } from '../home.ts';
import { type Lab, readLabFile } from '../lab-file.ts';
import { bringBack, bringUp, missingProcesses, placeLab, runningProcesses } from '../lab-lifecycle.ts';
import { type OutputFormat, printJson, say } from '../output.ts';
import { startProgress } from '../progress.ts';

export interface UpOptions {
  file?: string;
  nodes?: number;
  mode?: string;
  name?: string;
  timeout: number;
  output: OutputFormat;
}

export async function up(options: UpOptions): Promise<void> {
  const started = performance.now();
  let lab = await readLabFile(options.file, options);
  const paths = labPaths(lab.name);
  const known = knownLabs().includes(lab.name);
  const running = runningProcesses(paths);

  if (known && running.length > 0) {
    const was = readLab(paths);
    const missing = missingProcesses(paths, was);
    if (missing.length === 0) return sayAlreadyUp(was, paths.kubeconfig, options.output);
    const progress = startProgress(options.output === 'json');
    await bringBack(paths, was, missing, progress, options.timeout * 1000);
    if (options.output === 'json')
      return printJson({ lab: lab.name, started: missing, kubeconfig: paths.kubeconfig });
    return progress.done(`Lab "${lab.name}" is whole again: ${missing.join(', ')} started`);
  }
  // State that "down --keep" or a crash left: go on with the same objects and addresses.
  if (known) lab = { ...readLab(paths), ...(options.mode && { mode: lab.mode }) };
  else lab = await placeLab(lab);

  const abort = new AbortController();
  const interrupt = (): void => abort.abort();
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const progress = startProgress(options.output === 'json');
  await bringUp(paths, lab, progress, abort.signal, options.timeout * 1000);
  process.off('SIGINT', interrupt);
  process.off('SIGTERM', interrupt);

  const seconds = (performance.now() - started) / 1000;
  if (options.output === 'json') {
    return printJson({
      lab: lab.name,
      nodes: lab.nodes.length,
      mode: lab.mode,
      seconds,
      kubeconfig: paths.kubeconfig,
    });
  }
  progress.done(
    `Lab "${lab.name}": ${lab.nodes.length} nodes Ready and DNS answering after ${seconds.toFixed(2)} s`,
  );
  say(`export KUBECONFIG=${paths.kubeconfig}`);
}

function sayAlreadyUp(lab: Lab, kubeconfig: string, output: OutputFormat): void {
  const text = `Lab "${lab.name}" is already up: ${lab.nodes.length} nodes, mode ${lab.mode}. "podwire down" stops it, "podwire status" shows it.`;
  if (output === 'json') printJson({ lab: lab.name, alreadyUp: true, kubeconfig });
  else say(text);
}
