/**
 * External pods: each container is another OS process that carries its own network stack and exchanges Ethernet frames
 * with the datapath over a Unix socket. The process ends when its socket closes, so a killed agent leaves none behind.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ContainerOutput, RunningContainer } from '@podwire/workload/container';
import type { Pod } from 'kubernetes-types/core/v1.js';
import type { Attachment } from './cni/attach.ts';
import {
  EXTERNAL_CONTROL,
  EXTERNAL_ETHERNET,
  ExternalFrameReader,
  encodeExternalFrame,
} from './external-frames.ts';
import { stackLoopback } from './host-stack.ts';
import type { PodContext } from './pods/pod-context.ts';
import type { PodRuntime } from './pods/pod-runtime.ts';
import { hostsFile, podHostname, resolvConf } from './pods/resolv-conf.ts';
import { POD_GATEWAY } from './pods/sandbox.ts';

/** What an external process is told in PODWIRE_POD_CONFIG. */
export interface ExternalPodConfig {
  readonly namespace: string;
  readonly podName: string;
  readonly addresses: readonly string[];
  readonly gateway: { readonly v4: string; readonly v6: string };
  /** The stack's option: see packages/netstack/README.md. */
  readonly loopback: 'host' | true;
  readonly mac: string;
  readonly mtu: number;
  readonly hostname: string;
  readonly resolvConf: {
    readonly nameservers: string[];
    readonly searches: string[];
    readonly ndots: number;
  };
  readonly hostsFile: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Mounted files by path. */
  readonly files: Readonly<Record<string, string>>;
  readonly sync: SyncAccess;
}

/** How a process of this node reaches the controller. */
export interface SyncAccess {
  readonly url: string;
  readonly caPem: string;
  readonly token: string;
  readonly nodeName: string;
}

export interface ExternalOptions {
  /** Where sockets are made. */
  readonly directory: string;
  /** Runs the program of an image: the command line after the Node binary, undefined for an image nobody knows. */
  readonly program: (image: string) => string[] | undefined;
  readonly sync: SyncAccess;
}

/** Frames that may wait for a slow process before more are dropped, as a full device queue does. */
const MAX_BEHIND_BYTES = 4 * 1024 * 1024;

/** Frames kept for a process that is still starting, so that a first connection need not wait for its second SYN. */
const MAX_EARLY_FRAMES = 64;

/** Longest path of a Unix socket that every system takes. */
const MAX_SOCKET_PATH = 100;

/** A pod whose containers are processes; they share one link, and the frames of the first that is connected count. */
export function externalRuntime(
  context: PodContext,
  pod: Pod,
  attachment: Attachment,
  options: ExternalOptions,
): PodRuntime {
  const { clusterDomain, clusterDNS, mtu } = context.settings;
  const resolver = resolvConf(pod, { dnsAddresses: clusterDNS, domain: clusterDomain });
  const sockets = new Map<string, Socket>();
  const processes = new Set<RunningContainer>();
  let early: Buffer[] = [];
  attachment.connect({
    receive(frame) {
      if (sockets.size === 0 && processes.size > 0 && early.length < MAX_EARLY_FRAMES) {
        early.push(encodeExternalFrame(EXTERNAL_ETHERNET, frame));
      }
      for (const socket of sockets.values()) {
        if (socket.writableLength > MAX_BEHIND_BYTES) continue;
        socket.write(encodeExternalFrame(EXTERNAL_ETHERNET, frame));
      }
    },
  });
  return {
    podIPs: attachment.addresses,
    start(spec, output) {
      const command = options.program(spec.image);
      if (command === undefined) {
        throw new Error(`no external program is known for image "${spec.image}"`);
      }
      const config: ExternalPodConfig = {
        namespace: pod.metadata!.namespace!,
        podName: pod.metadata!.name!,
        addresses: attachment.addresses,
        gateway: POD_GATEWAY,
        loopback: stackLoopback(context.nodeAddresses),
        mac: attachment.mac,
        mtu,
        hostname: podHostname(pod, clusterDomain).hostname,
        resolvConf: {
          nameservers: resolver.nameservers,
          searches: resolver.searches,
          ndots: resolver.ndots,
        },
        hostsFile: hostsFile(pod, attachment.addresses, clusterDomain),
        args: [...spec.command, ...spec.args],
        env: spec.env,
        files: Object.fromEntries(spec.files),
        sync: options.sync,
      };
      const process = startProcess({
        path: socketPath(options.directory, `${pod.metadata!.uid}/${spec.name}/${context.random32()}`),
        command,
        config,
        output,
        log: context.log,
        onFrame: (frame) => attachment.send(frame),
        onSocket: (socket) => {
          sockets.set(spec.name, socket);
          for (const frame of early) socket.write(frame);
          early = [];
          socket.on('close', () => {
            if (sockets.get(spec.name) === socket) sockets.delete(spec.name);
          });
        },
      });
      processes.add(process);
      void process.exited.then(() => processes.delete(process));
      return process;
    },
    filesChanged(spec) {
      const message = { type: 'files', files: Object.fromEntries(spec.files) };
      sockets
        .get(spec.name)
        ?.write(encodeExternalFrame(EXTERNAL_CONTROL, Buffer.from(JSON.stringify(message))));
    },
    dial: (port) => context.hostStack.connectTcp({ host: attachment.addresses[0]!, port }),
    close() {
      for (const process of processes) process.kill();
      attachment.detach();
    },
  };
}

interface ProcessOptions {
  readonly path: string;
  readonly command: string[];
  readonly config: ExternalPodConfig;
  readonly output: ContainerOutput;
  readonly log: PodContext['log'];
  readonly onFrame: (frame: Uint8Array) => void;
  readonly onSocket: (socket: Socket) => void;
}

function startProcess(options: ProcessOptions): RunningContainer {
  const { path, command, output } = options;
  const server = listenForPod(options);
  const child = spawn(process.execPath, command, {
    env: {
      ...process.env,
      PODWIRE_POD_SOCKET: path,
      PODWIRE_POD_CONFIG: JSON.stringify(options.config),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  createInterface({ input: child.stdout! }).on('line', output.stdout);
  createInterface({ input: child.stderr! }).on('line', output.stderr);
  const exited = new Promise<{ exitCode: number; reason?: string }>((resolve) => {
    const end = (exitCode: number) => {
      server.close();
      rmSync(path, { force: true });
      resolve({ exitCode });
    };
    child.once('error', (error) => {
      output.stderr(`cannot start: ${error.message}`);
      end(128);
    });
    child.once('close', (code, signal) => end(code ?? 128 + signalNumber(signal)));
  });
  return {
    exited,
    async stop(graceMs) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
      await exited;
      clearTimeout(timer);
    },
    kill() {
      child.kill('SIGKILL');
    },
    async exec(argv, io) {
      io.stderr.write(`cannot run ${argv[0] ?? ''}: this pod is a process of its own without a shell\n`);
      return 126;
    },
  };
}

/** Waits for the process on its socket; one connection at a time, because there is one process. */
function listenForPod(options: ProcessOptions): Server {
  const server = createServer((socket) => {
    const reader = new ExternalFrameReader();
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const { type, payload } of reader.push(chunk)) {
          if (type === EXTERNAL_ETHERNET) options.onFrame(payload);
        }
      } catch (error) {
        const { podName } = options.config;
        options.log.warn({ pod: podName, err: error }, 'an external pod sent what is no frame');
        socket.destroy();
      }
    });
    socket.on('error', () => socket.destroy());
    options.onSocket(socket);
  });
  server.maxConnections = 1;
  server.on('error', (err) =>
    options.log.error({ err, path: options.path }, 'cannot listen for an external pod'),
  );
  rmSync(options.path, { force: true });
  server.listen(options.path);
  return server;
}

/** A short path for a socket: its length is limited to about a hundred bytes. */
function socketPath(directory: string, name: string): string {
  const file = `${createHash('sha256').update(`${directory}/${name}`).digest('hex').slice(0, 16)}.sock`;
  const near = join(directory, file);
  if (near.length <= MAX_SOCKET_PATH) {
    mkdirSync(directory, { recursive: true });
    return near;
  }
  const far = join(tmpdir(), 'podwire');
  mkdirSync(far, { recursive: true, mode: 0o700 });
  return join(far, file);
}

function signalNumber(signal: NodeJS.Signals | null): number {
  return signal === 'SIGKILL' ? 9 : signal === 'SIGTERM' ? 15 : 1;
}
