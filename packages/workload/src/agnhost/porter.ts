import { type AgnhostContext, logLine, untilEnded } from './context.ts';
import { Listeners } from './listeners.ts';

/** `porter`: for each SERVE_PORT_80=text in the environment answers HTTP on that port with the text. */
export async function porter(_args: readonly string[], context: AgnhostContext): Promise<number> {
  const listeners = new Listeners(context);
  for (const [name, value] of Object.entries(context.env)) {
    const match = /^SERVE_(TLS_|SCTP_)?PORT_(\d{1,5})$/.exec(name);
    if (!match) continue;
    const port = Number(match[2]);
    if (match[1]) {
      logLine(
        context,
        `${name}: ${match[1] === 'TLS_' ? 'TLS' : 'SCTP'} is not supported by built-in containers`,
      );
      continue;
    }
    try {
      listeners.http(port, (_request, response) => {
        response.setHeader('Content-Type', 'text/plain; charset=utf-8');
        response.end(value);
      });
      logLine(context, `Serving on port ${port}`);
    } catch (error) {
      logLine(context, `server on port ${port} failed: ${(error as Error).message}`);
    }
  }
  const code = await untilEnded(context, new Promise(() => {}));
  listeners.close();
  return code;
}
