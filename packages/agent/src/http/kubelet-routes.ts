/**
 * The endpoints that kubectl reaches through the API server: logs, exec, attach, port-forward.
 */
import type { PodContainer } from '../pods/container.ts';
import type { PodManager } from '../pods/pod-manager.ts';
import type { PodWorker } from '../pods/pod-worker.ts';
import { parseLogRequest, serveLogs } from './container-logs.ts';
import { execWants, serveExec } from './exec.ts';
import { forwardedPorts, servePortForward } from './port-forward.ts';
import type { Route, RouteMatch } from './route.ts';
import { HttpError } from './server.ts';

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
      webSocket(call) {
        const process = runningIn(call);
        const argv = call.query.getAll('command');
        if (argv.length === 0) throw new HttpError(400, 'you must specify at least 1 command');
        const wants = execWants(call.query);
        return (socket) => void serveExec(socket, wants, (streams) => process.exec(argv, streams));
      },
    },
    {
      methods: ['GET', 'POST'],
      path: `/attach/${place}`,
      webSocket(call) {
        const container = containerOf(call);
        runningIn(call);
        const wants = execWants(call.query);
        return (socket) => void serveExec(socket, wants, (streams) => container.attach(streams));
      },
    },
    {
      methods: ['GET', 'POST'],
      path: '/portForward/:namespace/:pod',
      webSocket(call) {
        const network = podOf(call).network;
        if (network === undefined) throw new HttpError(400, `pod "${call.parts.pod}" is not running`);
        const ports = forwardedPorts(call.query);
        if (ports === undefined)
          throw new HttpError(400, `invalid port "${call.query.getAll('port').join(',')}"`);
        return (socket) => servePortForward(socket, ports, (port) => network.dial(port));
      },
    },
  ];
}
