import { posix } from 'node:path';

/**
 * What is known of images by their name alone: there is no image to look into. As on Kubernetes, an image whose
 * program is a shell ends at once when its container has no command (Completed, or CrashLoopBackOff where it is
 * restarted), and a server listens on its well-known port whether or not the manifest declares it.
 */

/** `registry:5000/path/agnhost:2.43@sha256:…` is `agnhost`. */
export function imageName(image: string): string {
  return posix.basename(image.replace(/@.*$/, '')).replace(/:.*$/, '');
}

/** Their program without a command is an interactive shell. */
const SHELL_IMAGES = new Set(
  'busybox alpine ubuntu debian centos fedora rockylinux almalinux amazonlinux oraclelinux archlinux opensuse bash netshoot buildpack-deps toybox dnsutils network-multitool alpine-curl'.split(
    ' ',
  ),
);
/** Their program without a command is an interpreter's prompt; with declared ports they are somebody's server. */
const INTERPRETER_IMAGES = new Set(
  'python node golang ruby perl php openjdk eclipse-temurin rust gcc'.split(' '),
);

export type DefaultProgram = 'shell' | 'curl' | 'pause' | 'agnhost' | 'server';

/** What a container of the image runs when its command does not say. */
export function defaultProgram(image: string, declaresPorts: boolean): DefaultProgram {
  const name = imageName(image);
  if (name === 'pause') return 'pause';
  if (name === 'agnhost') return 'agnhost';
  if (name === 'curl') return 'curl';
  if (SHELL_IMAGES.has(name)) return 'shell';
  return INTERPRETER_IMAGES.has(name) && !declaresPorts ? 'shell' : 'server';
}

const WELL_KNOWN_PORTS: Readonly<Record<string, readonly number[]>> = {
  adminer: [8080],
  caddy: [80],
  cassandra: [9042],
  consul: [8500],
  couchdb: [5984],
  'echo-server': [80],
  echoserver: [8080],
  elasticsearch: [9200],
  etcd: [2379],
  'gb-frontend': [80],
  ghost: [2368],
  grafana: [3000],
  haproxy: [80],
  'hello-app': [8080],
  'hello-kubernetes': [8080],
  'http-echo': [5678],
  httpbin: [80],
  httpd: [80],
  influxdb: [8086],
  jenkins: [8080],
  kafka: [9092],
  kibana: [5601],
  kuard: [8080],
  mariadb: [3306],
  memcached: [11_211],
  minio: [9000],
  mongo: [27_017],
  mosquitto: [1883],
  mysql: [3306],
  nats: [4222],
  nginx: [80],
  'nginx-hello': [80],
  'nginx-unprivileged': [8080],
  phpmyadmin: [80],
  podinfo: [9898],
  postgres: [5432],
  postgresql: [5432],
  prometheus: [9090],
  rabbitmq: [5672],
  redis: [6379],
  registry: [5000],
  solr: [8983],
  tomcat: [8080],
  traefik: [80],
  valkey: [6379],
  vault: [8200],
  whoami: [80],
  wordpress: [80],
  zookeeper: [2181],
};

/** Ports that the image's server listens on by default. */
export function wellKnownPorts(image: string): readonly number[] {
  const name = imageName(image);
  return Object.hasOwn(WELL_KNOWN_PORTS, name) ? WELL_KNOWN_PORTS[name]! : [];
}

const PORT_ARGUMENT =
  /^(?:--?(?:http-|grpc-)?port|-p|--?(?:listen|bind|addr|address|listen-addr(?:ess)?))(?:=(.*))?$/;

/** A port that a command line names: `--port 8080`, `-p=80`, `--listen=:5678`, `http.server 8000`. */
export function portOfArguments(argv: readonly string[]): number | undefined {
  for (const [index, argument] of argv.entries()) {
    const match = PORT_ARGUMENT.exec(argument);
    const value = match
      ? (match[1] ?? argv[index + 1])
      : argument === 'http.server'
        ? argv[index + 1]
        : undefined;
    const port = Number(/(?:^|:)(\d{1,5})$/.exec(value ?? '')?.[1]);
    if (port > 0 && port < 65_536) return port;
  }
  return undefined;
}

/** Directories from which servers of static pages serve. */
const PAGE_ROOTS: Readonly<Record<string, string>> = {
  nginx: '/usr/share/nginx/html',
  'nginx-unprivileged': '/usr/share/nginx/html',
  httpd: '/usr/local/apache2/htdocs',
  caddy: '/usr/share/caddy',
};

/** The file that the image's server would answer a path with, where a container has it. */
export function pagePath(image: string, urlPath: string): string | undefined {
  const name = imageName(image);
  if (!Object.hasOwn(PAGE_ROOTS, name)) return undefined;
  const root = PAGE_ROOTS[name]!;
  const path = posix.join(root, posix.normalize(`/${urlPath}`));
  return path.endsWith('/') || path === root ? posix.join(path, 'index.html') : path;
}

/** hashicorp/http-echo answers what its arguments say. */
export function echoedText(image: string, argv: readonly string[]): string | undefined {
  if (imageName(image) !== 'http-echo') return undefined;
  for (const [index, argument] of argv.entries()) {
    const match = /^--?text(?:=([\s\S]*))?$/.exec(argument);
    if (match) return `${match[1] ?? argv[index + 1] ?? ''}\n`;
  }
  return undefined;
}
