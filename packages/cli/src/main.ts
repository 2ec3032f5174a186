import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { ApiFailure } from './api-client.ts';
import { Complaint } from './complaint.ts';

const json = (): Option =>
  new Option('-o, --output <format>', 'output format').choices(['table', 'json']).default('table');
const kubeconfig = (): Option => new Option('--kubeconfig <file>', 'a lab elsewhere, e.g. one in containers');
const lab = (): Option => new Option('--name <lab>', 'which lab').default('lab');

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError(`"${text}" is not a whole number.`);
  return value;
}

function seconds(text: string): number {
  const match = /^(\d+(?:\.\d+)?)s?$/.exec(text);
  if (!match || Number(match[1]) <= 0)
    throw new InvalidArgumentError(`"${text}" is not a number of seconds such as 30 or 2.5s.`);
  return Number(match[1]);
}

const program = new Command('podwire')
  .description('A Kubernetes network of real processes and real packets on this machine.')
  .version('0.1.0')
  .showHelpAfterError('(podwire --help lists the commands)')
  .showSuggestionAfterError()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'podwire: ')) });

program
  .command('up')
  .description('start a lab; returns when all nodes are Ready and DNS answers')
  .option('-f, --file <lab.yaml>', 'lab file')
  .option('--nodes <n>', 'number of nodes', wholeNumber)
  .option('--mode <mode>', 'how Services are carried out: iptables, ipvs, nftables or ebpf')
  .option('--name <lab>', 'name of the lab')
  .option('--timeout <seconds>', 'give up after this long', seconds, 60)
  .addOption(json())
  .action(async (options) => (await import('./commands/up.ts')).up(options));

program
  .command('down')
  .description('stop a lab and remove its state')
  .addOption(lab())
  .option('--all', 'every lab of this home')
  .option('--keep', 'keep the state, so that "podwire up" goes on with the same objects')
  .action(async (options) => (await import('./commands/down.ts')).down(options));

program
  .command('status')
  .description('processes, nodes and pods of a lab')
  .addOption(lab())
  .addOption(json())
  .action(async (options) => (await import('./commands/status.ts')).status(options));

program
  .command('kubeconfig')
  .description('print the path of the lab’s kubeconfig')
  .addOption(lab())
  .action(async (options) => (await import('./commands/kubeconfig.ts')).kubeconfig(options));

const node = program.command('node').description('kill, stop, start, add, remove or dump a node');
for (const [verb, text] of [
  ['kill', 'kill -9 the node’s process, as a power cut would'],
  ['stop', 'stop the node’s process in an orderly way'],
  ['start', 'start a stopped or killed node again'],
  ['add', 'add a node to the running lab'],
  ['remove', 'stop a node and delete its Node object'],
] as const) {
  const command = node
    .command(verb)
    .description(text)
    .argument('<name>', 'node name')
    .addOption(lab())
    .addOption(json());
  if (verb === 'add') command.option('--zone <zone>', 'zone label of the new node');
  command.action(async (name, options) => (await import('./commands/node.ts')).node(verb, name, options));
}

node
  .command('dump')
  .description('print a node’s own tables as a tool people know prints them')
  .argument('<name>', 'node name')
  .addOption(
    new Option('--as <format>', 'whose words to use; conntrack in any mode, the others in their own')
      .choices(['iptables-save', 'ip6tables-save', 'nft', 'ipvsadm', 'cilium-lb', 'conntrack'])
      .makeOptionMandatory(),
  )
  .addOption(lab())
  .addOption(kubeconfig())
  .action(async (name, options) => (await import('./commands/dump.ts')).dump(name, options));

program
  .command('logs')
  .description('print the log of a process of the lab: controller or a node')
  .argument('<process>', 'controller, or a node name')
  .addOption(lab())
  .option('--tail <lines>', 'only the last lines', wholeNumber)
  .option('-f, --follow', 'keep printing what is added')
  .action(async (name, options) => (await import('./commands/logs.ts')).logs(name, options));

program
  .command('trace')
  .description('send real packets and show every hop and what it changed')
  .argument('<from>', 'pod as [namespace/]name, or "host" or "host/NODE"')
  .argument('<to>', 'URL, name:port or ip:port; icmp:ADDRESS for a ping')
  .option('--udp', 'send a UDP datagram instead of opening a TCP connection')
  .option('--all-packets', 'show every packet, not only the first each way')
  .option('--timeout <seconds>', 'how long the connection may take', seconds, 5)
  .addOption(lab())
  .addOption(kubeconfig())
  .addOption(json())
  .action(async (from, to, options) => (await import('./commands/trace.ts')).trace(from, to, options));

program
  .command('matrix')
  .description('try every pod against every Service port with real connections')
  .option('-n, --namespace <namespace>', 'only pods and Services of this namespace', 'default')
  .option('-A, --all-namespaces', 'all namespaces')
  .option('--calls', 'only the calls that the pods’ environment variables name')
  .option('--timeout <seconds>', 'how long one connection may take', seconds, 2)
  .addOption(lab())
  .addOption(kubeconfig())
  .addOption(json())
  .action(async (options) => (await import('./commands/matrix.ts')).matrix(options));

program
  .command('demo')
  .description('boot three nodes, apply the sample shop and walk its packets')
  .option('--name <lab>', 'name of the lab', 'demo')
  .action(async (options) => (await import('./commands/demo.ts')).demo(options));

for (const command of [program, ...program.commands, ...node.commands]) command.exitOverride();

// Whoever reads may have seen enough (`podwire trace … | head`): end as a program that SIGPIPE ended.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(141);
});

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof Complaint) {
    process.stderr.write(`podwire: ${error.message}\n`);
    process.exitCode = error.exitCode;
  } else if (error instanceof ApiFailure) {
    process.stderr.write(`podwire: the API server answered ${error.status}: ${error.message}\n`);
    process.exitCode = 1;
  } else {
    throw error;
  }
}
