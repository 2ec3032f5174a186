/** Somebody a container's environment says it calls. */
export interface Upstream {
  variable: string;
  host: string;
  port: number;
}

const ADDRESS =
  /^(?:([a-z][a-z0-9+.-]*):\/\/)?(?:[^/@\s]*@)?([a-z0-9](?:[-a-z0-9.]*[a-z0-9])?)(?::(\d{1,5}))?(?:\/\S*)?$/i;
const SCHEME_PORTS: Record<string, number> = {
  http: 80,
  https: 443,
  redis: 6379,
  postgres: 5432,
  postgresql: 5432,
  mysql: 3306,
  amqp: 5672,
  mongodb: 27_017,
  nats: 4222,
};

/**
 * The upstreams of an environment: `CART_SERVICE_ADDR=cartservice:7070`, `API_URL=http://api/v1`, and pairs such as
 * `DB_HOST=db` with `DB_PORT=5432`. The variables that Kubernetes adds for Services hold addresses, not names, and so
 * do not count: a stand-in calls by name.
 */
export function upstreamsOf(env: Readonly<Record<string, string>>): Upstream[] {
  const found = new Map<string, Upstream>();
  for (const [variable, value] of Object.entries(env)) {
    const match = value.length < 512 ? ADDRESS.exec(value) : null;
    if (!match || !/[a-z]/i.test(match[2]!) || match[2]!.toLowerCase() === 'localhost') continue;
    const [, scheme, host, portText] = match;
    const port =
      portText !== undefined
        ? Number(portText)
        : scheme !== undefined
          ? SCHEME_PORTS[scheme.toLowerCase()]
          : pairedPort(env, variable);
    if (port === undefined || port < 1 || port > 65_535) continue;
    const key = `${host}:${port}`;
    if (!found.has(key)) found.set(key, { variable, host: host!.toLowerCase(), port });
  }
  return [...found.values()];
}

function pairedPort(env: Readonly<Record<string, string>>, variable: string): number | undefined {
  const stem = /^(.*)_(?:HOST|HOSTNAME|SERVICE|SERVER|SERVICE_HOST)$/.exec(variable)?.[1];
  const port = stem === undefined ? undefined : (env[`${stem}_PORT`] ?? env[`${stem}_SERVICE_PORT`]);
  return port !== undefined && /^\d{1,5}$/.test(port) ? Number(port) : undefined;
}
