import type { ProgramContext } from '../container.ts';
import { untilStopped } from '../programs.ts';

/** The commands of the Kubernetes project's test image that manifests and suites use. Resolves to the exit code. */
export async function runAgnhost(args: string[], context: ProgramContext): Promise<number> {
  switch (args[0]) {
    case 'pause':
      return untilStopped(context);
    default:
      context.output.stderr(`agnhost: unknown command "${args[0] ?? ''}"`);
      return 1;
  }
}
