import { posix } from 'node:path';
import { parseOptions } from '../tools/options.ts';
import { type AgnhostContext, logLine, untilEnded } from './context.ts';
import { Listeners } from './listeners.ts';

/** `test-webserver [--port 80]`: serves the container's files, as the DNS suites read their results from it. */
export async function testWebserver(args: readonly string[], context: AgnhostContext): Promise<number> {
  const port = Number(parseOptions(args, '', { port: 'port=' }).get('port') ?? 80);
  const listeners = new Listeners(context);
  listeners.http(port, (request, response) => {
    const path = posix.normalize(decodePath(request.url ?? '/'));
    const content = context.files.read(path);
    if (content) return void response.end(content);
    if (context.files.isDirectory(path)) {
      const names = context.files.list(path).map((name) => `<a href="${encodeURI(name)}">${name}</a>\n`);
      response.setHeader('Content-Type', 'text/html; charset=utf-8');
      return void response.end(`<pre>\n${names.join('')}</pre>\n`);
    }
    response.statusCode = 404;
    response.end('404 page not found\n');
  });
  logLine(context, `Serving on port ${port}`);
  const code = await untilEnded(context, new Promise(() => {}));
  listeners.close();
  return code;
}

function decodePath(url: string): string {
  try {
    return decodeURIComponent(url.split('?')[0]!);
  } catch {
    return '/';
  }
}
