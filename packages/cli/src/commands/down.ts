import { existsSync } from 'node:fs';
import { knownLabs, labPaths } from '../home.ts';
import { takeDown } from '../lab-lifecycle.ts';
import { say } from '../output.ts';

export async function down(options: { name: string; all?: boolean; keep?: boolean }): Promise<void> {
  const names = options.all ? knownLabs() : [options.name];
  for (const name of names) {
    const paths = labPaths(name);
    if (!existsSync(paths.dir)) {
      say(`There is no lab "${name}"; nothing to do.`);
      continue;
    }
    const stopped = await takeDown(paths, options.keep ?? false);
    say(
      `Lab "${name}": ${stopped} processes stopped, state ${options.keep ? `kept in ${paths.dir}` : 'removed'}.`,
    );
  }
  if (names.length === 0) say('There are no labs; nothing to do.');
}
