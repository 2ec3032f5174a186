import { execFileSync } from 'node:child_process';

/** Why container tests cannot run here, or undefined when they can. */
export function noContainers(): string | undefined {
  try {
    execFileSync('docker', ['info', '--format', '{{.ServerVersion}}'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 10_000,
    });
    return undefined;
  } catch {
    return 'needs a running Docker Engine (docker info fails)';
  }
}

export function hasCommand(name: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${name}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
