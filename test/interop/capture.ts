import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { execa } from 'execa';

/** A tcpdump that writes what passes the loopback interface to a file. */
export class LoopbackCapture {
  readonly file: string;
  readonly #process: ChildProcess;
  #said = '';

  private constructor(file: string, filter: string) {
    this.file = file;
    // --immediate-mode and -U: a packet is in the file as soon as it was seen. In that mode a packet takes a slot of the
    // snapshot length, so that 64 MB hold 32,000 packets of 2 KB, more than a test sends: a slow reader loses none.
    const options = ['-i', 'lo', '-n', '-U', '--immediate-mode', '-s', '2048', '-B', '65536', '-w', file];
    // -Z root: tcpdump must not give up the right to write into our directory.
    this.#process = spawn('tcpdump', [...options, '-Z', 'root', filter], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  }

  /** Resolves when packets are being caught. */
  static async start(file: string, filter: string): Promise<LoopbackCapture> {
    const capture = new LoopbackCapture(file, filter);
    await new Promise<void>((resolve, reject) => {
      capture.#process.on('error', reject);
      capture.#process.on('exit', () => reject(new Error(`tcpdump ended: ${capture.#said}`)));
      capture.#process.stderr!.on('data', (chunk: Buffer) => {
        capture.#said += chunk;
        if (capture.#said.includes('listening on')) resolve();
      });
    });
    return capture;
  }

  /** Ends the capture; how many packets the kernel could not hand over. */
  async stop(): Promise<number> {
    if (this.#process.exitCode === null) {
      const exit = once(this.#process, 'close');
      this.#process.kill('SIGINT');
      await exit;
    }
    return Number(/(\d+) packets? dropped by kernel/.exec(this.#said)?.[1] ?? 0);
  }
}

/**
 * What tshark says of each packet of a capture: for each field its values, outermost header first. UDP port 8472 is
 * read as VXLAN and every checksum is verified; a checksum status is 0 bad, 1 good, 2 not verified, 3 absent.
 */
export async function decode<F extends string>(
  file: string,
  fields: readonly F[],
  filter = '',
): Promise<Record<F, string[]>[]> {
  const verify = ['ip', 'tcp', 'udp'].flatMap((name) => ['-o', `${name}.check_checksum:TRUE`]);
  const columns = fields.flatMap((field) => ['-e', field]);
  const { stdout } = await execa('tshark', [
    ...['-r', file, '-n', '-d', 'udp.port==8472,vxlan', ...verify],
    ...(filter === '' ? [] : ['-Y', filter]),
    ...['-T', 'fields', '-E', 'occurrence=a', '-E', 'aggregator=;', '-E', 'separator=/t', ...columns],
  ]);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const values = line.split('\t').map((cell) => (cell === '' ? [] : cell.split(';')));
      return Object.fromEntries(fields.map((field, i) => [field, values[i] ?? []])) as Record<F, string[]>;
    });
}
