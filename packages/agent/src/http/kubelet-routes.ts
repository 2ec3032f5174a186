/**
 * The endpoints that kubectl reaches through the API server: logs, exec, attach, port-forward.
 */
import type { Duplex } from 'node:stream';
import type { PodContainer } from '../pods/container.ts';
import type { PodManager } from '../pods/pod-manager.ts';
import type { PodWorker } from '../pods/pod-worker.ts';
import { parseLogRequest, serveLogs } from './container-logs.ts';
import { type ExecStreams, execWants, serveExec } from './exec.ts';
import { EXEC_PROTOCOLS, SPDY_EXEC_PROTOCOLS } from './exec-channels.ts';
import {
  forwardedPorts,
  PORT_FORWARD_PROTOCOLS,
  SPDY_PORT_FORWARD_PROTOCOL,
  servePortForward,
  TUNNELLED_PORT_FORWARD_PROTOCOL,
} from './port-forward.ts';
import type { Route, RouteCall, RouteMatch } from './route.ts';
import { HttpError } from './server.ts';
import { byteStream } from './websocket-bytes.ts';

export function kubeletRoutes(pods: PodManager, nowMs: () => number): Route[] {
  const podOf = ({ parts }: RouteMatch): PodWorker => {
    const worker = pods.find(parts.namespace!, parts.pod!);
    if (worker === undefined)
      throw new HttpError(404, `pod "${parts.pod}" not found in "${parts.namespace}"`);
    return worker;
  };
  const containerOf = (match: RouteMatch): PodContainer => {
    const container = podOf(match).containers.get(match.parts.container!);
    if (container !== undefined) return container;
    throw new HttpError(404, `container "${match.parts.container}" not found in pod "${match.parts.pod}"`);
  };
  const runningIn = (match: RouteMatch) => {
    const process = containerOf(match).running;
    if (process !== undefined) return process;
    throw new HttpError(400, `container not found ("${match.parts.container}")`);
  };
  const dialerOf = (match: RouteMatch) => {
    const { network } = podOf(match);
    if (network === undefined) throw new HttpError(400, `pod "${match.parts.pod}" is not running`);
    return (port: number) => network.dial(port);
  };
  const place = ':namespace/:pod/:container';
  return [
    {
      methods: ['GET'],
      path: `/containerLogs/${place}`,
      http(call) {
        const request = parseLogRequest(call.query, nowMs());
        if (typeof request === 'string') throw new HttpError(400, request);
        const container = containerOf(call);
        const { parts } = call;
        if (request.previous && container.previousLogs === undefined) {
          throw new HttpError(
            400,
            `previous terminated container "${parts.container}" in pod "${parts.pod}" not found`,
          );
        }
        const waiting = container.status.state?.waiting;
        if (waiting !== undefined && container.status.containerID === undefined) {
          throw new HttpError(
            400,
            `container "${parts.container}" in pod "${parts.pod}" is waiting to start: ${waiting.reason}`,
          );
        }
        serveLogs(call.response, request.previous ? container.previousLogs! : container.logs, request);
      },
    },
    {
      methods: ['GET', 'POST'],
      path: `/exec/${place}`,
      ...streamed((call) => {
        const process = runningIn(call);
        const argv = call.query.getAll('command');
        if (argv.length === 0) throw new HttpError(400, 'you must specify at least 1 command');
        return (streams) => process.exec(argv, streams);
      }),
    },
    {
      methods: ['GET', 'POST'],
      path: `/attach/${place}`,
      ...streamed((call) => {
        const container = containerOf(call);
        runningIn(call);
        return (streams) => container.attach(streams);
      }),
    },
    {
      methods: ['GET', 'POST'],
      path: '/portForward/:namespace/:pod',
      protocols: [TUNNELLED_PORT_FORWARD_PROTOCOL, ...PORT_FORWARD_PROTOCOLS],
      webSocket(call) {
        const dial = dialerOf(call);
        const ports = forwardedPorts(call.query);
        if (ports === undefined && call.query.has('port')) {
          throw new HttpError(400, `invalid port "${call.query.getAll('port').join(',')}"`);
        }
        return (socket, protocol) => {
          if (protocol === TUNNELLED_PORT_FORWARD_PROTOCOL) tunnel(byteStream(socket), dial);
          else if (ports === undefined) socket.close(1008, 'no port');
          else servePortForward(socket, ports, dial);
        };
      },
      spdyProtocols: [SPDY_PORT_FORWARD_PROTOCOL],
      spdy(call) {
        const dial = dialerOf(call);
        return (connection) => tunnel(connection, dial);
      },
    },
  ];
}

/** Loaded with the first client that speaks it. */
function tunnel(connection: Duplex, dial: (port: number) => Duplex): void {
  void import('./spdy-port-forward.ts').then((spdy) => spdy.serveSpdyPortForward(connection, dial));
}

type Run = (streams: ExecStreams) => Promise<number>;

/** A route whose streams come over a WebSocket or over SPDY. */
function streamed(
  prepare: (call: RouteCall) => Run,
): Pick<Route, 'protocols' | 'webSocket' | 'spdyProtocols' | 'spdy'> {
  return {
    protocols: EXEC_PROTOCOLS,
    webSocket(call) {
      const run = prepare(call);
      return (socket) => void serveExec(socket, execWants(call.query), run);
    },
    spdyProtocols: SPDY_EXEC_PROTOCOLS,
    spdy(call) {
      const run = prepare(call);
      return (connection, protocol) =>
        void import('./spdy-exec.ts').then((spdy) =>
          spdy.serveSpdyExec(connection, protocol, execWants(call.query), run),
        );
    },
  };
}
