/** Which translator stands behind each mode. */

import type { ServiceMode } from '../tables.ts';
import { EbpfTranslator } from './ebpf.ts';
import { IptablesTranslator } from './iptables.ts';
import { IpvsTranslator } from './ipvs.ts';
import { NftablesTranslator } from './nftables.ts';
import type { ServiceTranslator, TranslatorContext } from './translator.ts';

/** Makes the translator of a mode. */
export function createTranslator(mode: ServiceMode, context: TranslatorContext): ServiceTranslator {
  switch (mode) {
    case 'iptables':
      return new IptablesTranslator(context);
    case 'ipvs':
      return new IpvsTranslator(context);
    case 'nftables':
      return new NftablesTranslator(context);
    case 'ebpf':
      return new EbpfTranslator(context);
    default:
      throw new Error(`Cannot run service mode "${mode}": it must be iptables, ipvs, nftables or ebpf`);
  }
}
