import type { NetStack } from '@podwire/netstack/stack';

/** A pod as its containers see it: one network stack, one name, one resolver configuration. */
export interface Sandbox {
  namespace: string;
  podName: string;
  podUid: string;
  nodeName: string;
  hostname: string;
  podIPs: string[];
  stack: NetStack;
  resolvConf: { nameservers: string[]; searches: string[]; ndots: number };
  /** Text of /etc/hosts. */
  hostsFile: string;
  interfaceMac: string;
  mtu: number;
}
