/**
 * The environment variables that name Services. Source: upstream pkg/kubelet/envvars.
 */
import type { Service } from 'kubernetes-types/core/v1.js';

/** Variables for every Service with a cluster address: NAME_SERVICE_HOST, NAME_SERVICE_PORT and the older links style. */
export function serviceEnvironment(services: Iterable<Service>): Map<string, string> {
  const env = new Map<string, string>();
  for (const service of services) {
    const address = service.spec?.clusterIP;
    const ports = service.spec?.ports ?? [];
    if (!address || address === 'None' || ports.length === 0) continue;
    const prefix = variableName(service.metadata?.name ?? '');
    env.set(`${prefix}_SERVICE_HOST`, address);
    env.set(`${prefix}_SERVICE_PORT`, String(ports[0]!.port));
    for (const port of ports) {
      if (port.name) env.set(`${prefix}_SERVICE_PORT_${variableName(port.name)}`, String(port.port));
    }
    const host = address.includes(':') ? `[${address}]` : address;
    ports.forEach((port, index) => {
      const protocol = port.protocol ?? 'TCP';
      const url = `${protocol.toLowerCase()}://${host}:${port.port}`;
      const link = `${prefix}_PORT_${port.port}_${protocol}`;
      if (index === 0) env.set(`${prefix}_PORT`, url);
      env.set(link, url);
      env.set(`${link}_PROTO`, protocol.toLowerCase());
      env.set(`${link}_PORT`, String(port.port));
      env.set(`${link}_ADDR`, address);
    });
  }
  return env;
}

/**
 * The Services a pod of `namespace` hears of: those of its own namespace when `links` is set, and always
 * default/kubernetes unless its own namespace has a Service of that name.
 */
export function servicesForPod(services: Iterable<Service>, namespace: string, links: boolean): Service[] {
  const byName = new Map<string, Service>();
  for (const service of services) {
    const name = service.metadata?.name ?? '';
    if (service.metadata?.namespace === namespace) {
      if (links || (namespace === 'default' && name === 'kubernetes')) byName.set(name, service);
    } else if (service.metadata?.namespace === 'default' && name === 'kubernetes' && !byName.has(name)) {
      byName.set(name, service);
    }
  }
  return [...byName.values()];
}

function variableName(name: string): string {
  return name.replaceAll('-', '_').toUpperCase();
}
