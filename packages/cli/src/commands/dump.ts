import { readFileSync } from 'node:fs';
import { ApiClient, ApiFailure } from '../api-client.ts';
import { Complaint } from '../complaint.ts';
import { labPaths } from '../home.ts';

/** Prints a node's own tables, byte by byte as the agent writes them: the text is there to be piped. */
export async function dump(
  node: string,
  options: { as: string; name: string; kubeconfig?: string },
): Promise<void> {
  const api = options.kubeconfig
    ? new ApiClient(readFileSync(options.kubeconfig, 'utf8'))
    : ApiClient.ofLab(labPaths(options.name));
  try {
    process.stdout.write(await api.nodeText(node, `/podwire/dump?as=${options.as}`));
  } catch (error) {
    // The agent says what is wrong in one line.
    if (error instanceof ApiFailure && error.status === 409) throw new Complaint(error.message);
    throw error;
  } finally {
    api.close();
  }
}
