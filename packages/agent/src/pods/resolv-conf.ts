/**
 * A pod's /etc/resolv.conf, /etc/hosts and host name. Source: upstream pkg/kubelet/network/dns/dns.go and
 * pkg/kubelet/kubelet_pods.go.
 */
import type { Pod, PodSpec } from 'kubernetes-types/core/v1.js';

export interface ResolvConf {
  readonly nameservers: string[];
  readonly searches: string[];
  readonly ndots: number;
  /** The file as the pod reads it. */
  readonly text: string;
}

/** musl and glibc's default; kubelet's ClusterFirst sets 5. */
const DEFAULT_NDOTS = 1;

/** dnsPolicy and dnsConfig of a pod. The node itself has no resolver in a lab: policy Default names none. */
export function resolvConf(
  pod: Pod,
  cluster: { dnsAddresses: readonly string[]; domain: string },
): ResolvConf {
  const spec: Partial<PodSpec> = pod.spec ?? {};
  const policy = spec.dnsPolicy ?? 'ClusterFirst';
  const usesCluster =
    policy === 'ClusterFirstWithHostNet' || (policy === 'ClusterFirst' && spec.hostNetwork !== true);
  const nameservers = usesCluster ? [...cluster.dnsAddresses] : [];
  const namespace = pod.metadata?.namespace ?? 'default';
  const searches = usesCluster
    ? [`${namespace}.svc.${cluster.domain}`, `svc.${cluster.domain}`, cluster.domain]
    : [];
  const options = new Map<string, string | undefined>();
  if (usesCluster) options.set('ndots', '5');
  for (const address of spec.dnsConfig?.nameservers ?? []) {
    if (!nameservers.includes(address)) nameservers.push(address);
  }
  for (const search of spec.dnsConfig?.searches ?? []) {
    if (!searches.includes(search)) searches.push(search);
  }
  for (const option of spec.dnsConfig?.options ?? []) {
    if (option.name) options.set(option.name, option.value || undefined);
  }
  const lines: string[] = [];
  if (searches.length > 0) lines.push(`search ${searches.join(' ')}`);
  for (const address of nameservers) lines.push(`nameserver ${address}`);
  if (options.size > 0) {
    const words = [...options].map(([name, value]) => (value === undefined ? name : `${name}:${value}`));
    lines.push(`options ${words.join(' ')}`);
  }
  const ndots = Number(options.get('ndots') ?? DEFAULT_NDOTS);
  return {
    nameservers,
    searches,
    ndots: Number.isInteger(ndots) && ndots >= 0 ? Math.min(ndots, 15) : DEFAULT_NDOTS,
    text: lines.map((line) => `${line}\n`).join(''),
  };
}

/** The names a pod goes by: what `hostname` prints, and its domain when it has a subdomain. */
export function podHostname(
  pod: Pod,
  clusterDomain: string,
): { hostname: string; short: string; domain: string } {
  const short = (pod.spec?.hostname || pod.metadata?.name || '').slice(0, 63).replace(/[-.]+$/, '');
  const subdomain = pod.spec?.subdomain;
  const domain = subdomain ? `${subdomain}.${pod.metadata?.namespace}.svc.${clusterDomain}` : '';
  const full = pod.spec?.setHostnameAsFQDN === true && domain !== '' ? `${short}.${domain}` : short;
  return { hostname: full, short, domain };
}

const MANAGED_HOSTS = `# Kubernetes-managed hosts file.
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
fe00::0\tip6-mcastprefix
fe00::1\tip6-allnodes
fe00::2\tip6-allrouters
`;

/** A pod's /etc/hosts. */
export function hostsFile(pod: Pod, podIPs: readonly string[], clusterDomain: string): string {
  const { short, domain } = podHostname(pod, clusterDomain);
  let text = MANAGED_HOSTS;
  for (const address of podIPs) {
    text += domain === '' ? `${address}\t${short}\n` : `${address}\t${short}.${domain}\t${short}\n`;
  }
  const aliases = pod.spec?.hostAliases ?? [];
  if (aliases.length > 0) {
    text += '\n# Entries added by HostAliases.\n';
    for (const alias of aliases) text += `${[alias.ip, ...(alias.hostnames ?? [])].join('\t')}\n`;
  }
  return text;
}
