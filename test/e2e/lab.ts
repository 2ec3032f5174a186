import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa, type Options } from 'execa';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
export const fixtures = join(root, '..', 'shared', 'fixtures');
const podwirePath = join(root, 'podwire');

/** A lab of real processes under a home of its own, on a loopback block of its own. */
export class TestLab {
  readonly home: string;
  readonly name: string;
  readonly prefix: string;
  readonly #file: string;

  /** @param block third octet of its addresses: each test file takes another, so that files may run side by side */
  constructor(block: number, settings: Record<string, unknown> = {}) {
    this.home = mkdtempSync(join(tmpdir(), 'podwire-e2e-'));
    this.name = `e2e-${block}`;
    this.prefix = `127.0.${block}`;
    this.#file = join(this.home, 'lab.yaml');
    writeFileSync(
      this.#file,
      JSON.stringify({ name: this.name, loopback: `${this.prefix}.0/24`, ...settings }),
    );
  }

  get kubeconfig(): string {
    return join(this.home, 'labs', this.name, 'kubeconfig');
  }

  get dir(): string {
    return join(this.home, 'labs', this.name);
  }

  up() {
    return this.podwire('up', '-f', this.#file);
  }

  async down(): Promise<void> {
    await this.podwire('down', '--name', this.name);
    rmSync(this.home, { recursive: true, force: true });
  }

  /** Runs the command line as a person would; a failure does not throw, its exit code tells. */
  podwire(...args: string[]) {
    return execa(podwirePath, args, { env: { PODWIRE_HOME: this.home }, reject: false, timeout: 90_000 });
  }

  /** `podwire VERB --name THIS-LAB …` */
  run(verb: string[], ...args: string[]) {
    return this.podwire(...verb, '--name', this.name, ...args);
  }

  kubectl(args: string[], options: Options = {}) {
    return execa('kubectl', ['--kubeconfig', this.kubeconfig, ...args], {
      reject: false,
      timeout: 90_000,
      ...options,
    } as { reject: false });
  }

  /** kubectl that must succeed; its standard output. */
  async must(...args: string[]): Promise<string> {
    const result = await this.kubectl(args);
    if (result.exitCode !== 0)
      throw new Error(`kubectl ${args.join(' ')}: ${result.stderr || result.shortMessage}`);
    return String(result.stdout);
  }
}

/** One GET on a connection of its own: a kept one would still go where an earlier test's went, or be gone. */
export function httpGet(url: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      response.on('error', reject);
    }).on('error', reject);
  });
}

/** Asks until the answer is defined; the number of tries is bounded, not the clock's reading. */
export async function eventually<T>(
  what: string,
  ask: () => Promise<T | undefined>,
  tries = 300,
): Promise<T> {
  for (let i = 0; i < tries; i++) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`in vain: ${what}`);
}
