/** Which translator stands behind each mode. */

import type { ServiceMode } from '../tables.ts';
import { EbpfTranslator } from './ebpf.ts';
import { IptablesTranslator } from './iptables.ts';
import { NftablesTranslator } from './nftables.ts';
import type { ServiceTranslator, TranslatorContext } from './translator.ts';

/**
 * Makes the translator of a mode.
 * @throws Error for a mode that is declared but not built
 */
export function createTranslator(mode: ServiceMode, context: TranslatorContext): ServiceTranslator {
  switch (mode) {
    case 'iptables':
      return new IptablesTranslator(context);
    case 'nftables':
      return new NftablesTranslator(context);
    case 'ebpf':
      return new EbpfTranslator(context);
    default:
      throw new Error(
        `Cannot run service mode "${mode}": it is not supported yet; use iptables, nftables or ebpf`,
      );
  }
}
