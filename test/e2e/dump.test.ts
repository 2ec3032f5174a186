import { execaSync } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TestLab } from './lab.ts';

describe('a node’s tables in the words of the tools people know', () => {
  const lab = new TestLab(70, { nodes: 1 });
  const dump = (format: string) => lab.run(['node', 'dump', 'node-1'], '--as', format);

  beforeAll(async () => {
    const { exitCode, stderr } = await lab.up();
    if (exitCode !== 0) throw new Error(stderr);
  }, 120_000);
  afterAll(() => lab.down(), 60_000);

  it('iptables-save: the rules of the cluster’s DNS, which iptables-restore takes', async () => {
    const { exitCode, stdout } = await dump('iptables-save');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^\*nat\n(:.*\n)+(-A .*\n)+COMMIT\n\*filter\n/);
    expect(stdout).toMatch(
      /^-A KUBE-SERVICES -d \S+\/32 -p udp -m comment --comment "kube-system\/kube-dns:dns cluster IP" -m udp --dport 53 -j KUBE-SVC-\w{16}$/m,
    );
    const isTaken = (rules: string) =>
      execaSync('iptables-restore', ['--test'], { input: `${rules}\n`, reject: false });
    // Not asked where it is not installed, or not allowed to ask the kernel.
    if (isTaken('*nat\nCOMMIT').exitCode === 0) expect(isTaken(stdout).stderr).toBe('');
  });

  it('conntrack: the flows of the node', async () => {
    const { exitCode, stdout } = await dump('conntrack');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(
      /^(tcp +6|udp +17) \d+ [A-Z_]* ?src=\S+ dst=\S+ sport=\d+ dport=\d+ packets=\d+ bytes=\d+ /m,
    );
  });

  it('says which mode keeps what this one does not, and what it can print', async () => {
    expect(await dump('cilium-lb')).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr:
        'podwire: Cannot dump node-1 as cilium-lb: it runs in mode iptables, and only ebpf keeps such a table',
    });
    const unknown = await dump('tc');
    expect(unknown.exitCode).toBe(2);
    expect(unknown.stderr).toContain('Allowed choices are iptables-save, ip6tables-save, nft');
  });
});
