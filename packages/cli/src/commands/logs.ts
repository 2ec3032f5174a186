import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { Complaint } from '../complaint.ts';
import { labPaths } from '../home.ts';
import { readProcesses } from '../processes.ts';

export async function logs(
  name: string,
  options: { name: string; tail?: number; follow?: boolean },
): Promise<void> {
  const paths = labPaths(options.name);
  const path = join(paths.logs, `${name}.log`);
  if (!/^[a-z0-9.-]+$/.test(name) || !existsSync(path)) {
    const names = readProcesses(paths).map((record) => record.name);
    throw new Complaint(
      names.length > 0
        ? `There is no process "${name}" in lab "${options.name}"; there are ${names.join(', ')}`
        : `There is no lab "${options.name}": start it with "podwire up"`,
    );
  }
  const text = readFileSync(path, 'utf8');
  if (options.tail === undefined) process.stdout.write(text);
  else {
    const lines = text.trimEnd().split('\n');
    process.stdout.write(options.tail === 0 ? '' : `${lines.slice(-options.tail).join('\n')}\n`);
  }
  if (options.follow) await follow(path, Buffer.byteLength(text));
}

/** Prints what is appended until Ctrl-C. */
async function follow(path: string, from: number): Promise<void> {
  const file = openSync(path, 'r');
  const buffer = Buffer.alloc(64 * 1024);
  let position = from;
  let going = true;
  process.once('SIGINT', () => {
    going = false;
  });
  while (going) {
    while (position < fstatSync(file).size) {
      const read = readSync(file, buffer, 0, buffer.length, position);
      process.stdout.write(buffer.subarray(0, read));
      position += read;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  closeSync(file);
}
