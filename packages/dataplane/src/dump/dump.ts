/** Tables of a running data plane in the words of the tools people know. */

import type { Pipeline } from '../pipeline.ts';
import { EbpfTranslator } from '../service/ebpf.ts';
import { IptablesTranslator } from '../service/iptables.ts';
import { IpvsTranslator } from '../service/ipvs.ts';
import { NftablesTranslator } from '../service/nftables.ts';
import type { ServiceMode } from '../tables.ts';
import { ciliumLbList } from './cilium-lb.ts';
import { conntrackList } from './conntrack.ts';
import { iptablesSave } from './iptables-save.ts';
import { ipvsadmList } from './ipvsadm.ts';
import { nftList } from './nft.ts';

/** Format -> the mode that keeps such a table; '' for every mode. */
export const DUMP_FORMATS = {
  'iptables-save': 'iptables',
  'ip6tables-save': 'iptables',
  nft: 'nftables',
  ipvsadm: 'ipvs',
  'cilium-lb': 'ebpf',
  conntrack: '',
} as const satisfies Readonly<Record<string, ServiceMode | ''>>;

export type DumpFormat = keyof typeof DUMP_FORMATS;

export function isDumpFormat(text: string): text is DumpFormat {
  return Object.hasOwn(DUMP_FORMATS, text);
}

/** The text, or undefined when the mode in force keeps no such table. */
export function dump(pipeline: Pipeline, format: DumpFormat, nowMs: number): string | undefined {
  const { services, tables } = pipeline;
  if (format === 'conntrack') return conntrackList(pipeline.conntrack.list(nowMs));
  if (services instanceof IptablesTranslator && (format === 'iptables-save' || format === 'ip6tables-save')) {
    const version = format === 'iptables-save' ? 4 : 6;
    return iptablesSave(services.ruleSet(version), tables, version);
  }
  if (services instanceof NftablesTranslator && format === 'nft') {
    const hasVersion = (version: 4 | 6): boolean =>
      tables.clusterCidrs.some((cidr) => cidr.includes(':') === (version === 6));
    const versions = ([4, 6] as const).filter(hasVersion);
    return versions.map((version) => nftList(services, tables, version)).join('');
  }
  if (services instanceof IpvsTranslator && format === 'ipvsadm') {
    return ipvsadmList(services.table.list(), pipeline.conntrack.backendFlows);
  }
  if (services instanceof EbpfTranslator && format === 'cilium-lb') return ciliumLbList(services.maps);
  return undefined;
}
