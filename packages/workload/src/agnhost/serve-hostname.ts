import { parseOptions } from '../tools/options.ts';
import { type AgnhostContext, logLine, untilEnded } from './context.ts';
import { hostPort, Listeners } from './listeners.ts';

/** `serve-hostname [--tcp] [--udp] [--http=false] [--close] [--port 9376]`: says its host name to whoever asks. */
export async function serveHostname(args: readonly string[], context: AgnhostContext): Promise<number> {
  const options = parseOptions(args, '', {
    tcp: 'tcp=?',
    udp: 'udp=?',
    http: 'http=?',
    close: 'close=?',
    port: 'port=',
  });
  const on = (name: string, fallback: boolean): boolean => {
    const value = options.get(name);
    return value === undefined ? fallback : value !== 'false' && value !== '0';
  };
  const port = Number(options.get('port') ?? 9376);
  const { hostname } = context.sandbox;
  const listeners = new Listeners(context);
  try {
    if (on('udp', false))
      listeners.udp(port, (_message, peer) => {
        logLine(context, `UDP request from ${hostPort(peer.address, peer.port)}`);
        return hostname;
      });
    if (on('tcp', false))
      listeners.tcp(port, (socket) => {
        logLine(context, `TCP request from ${hostPort(socket.remoteAddress, socket.remotePort)}`);
        socket.resume();
        socket.end(hostname);
      });
    if (on('http', true))
      listeners.http(port, (request, response) => {
        logLine(
          context,
          `HTTP request from ${hostPort(request.socket.remoteAddress, request.socket.remotePort)}`,
        );
        if (on('close', false)) response.setHeader('Connection', 'close');
        response.setHeader('Content-Type', 'text/plain; charset=utf-8');
        response.end(hostname);
      });
  } catch (error) {
    listeners.close();
    const { code } = error as Error & { code?: string };
    if (code !== 'EADDRINUSE') throw error;
    logLine(context, `listen on port ${port}: bind: address already in use`);
    return 1;
  }
  logLine(context, `Serving on port ${port}.`);
  const code = await untilEnded(context, new Promise(() => {}));
  listeners.close();
  return code;
}
