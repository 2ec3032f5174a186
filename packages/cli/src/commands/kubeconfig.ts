import { existsSync } from 'node:fs';
import { Complaint } from '../complaint.ts';
import { labPaths } from '../home.ts';
import { say } from '../output.ts';

export function kubeconfig(options: { name: string }): void {
  const paths = labPaths(options.name);
  if (!existsSync(paths.kubeconfig)) {
    throw new Complaint(`There is no lab "${options.name}" with a kubeconfig: start it with "podwire up"`);
  }
  say(paths.kubeconfig);
}
