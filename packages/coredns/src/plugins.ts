import { CachePlugin } from './plugin/cache.ts';
import { ErrorsPlugin } from './plugin/errors.ts';
import { KubernetesPlugin, kubernetesOptions } from './plugin/kubernetes.ts';
import type { KubernetesIndex } from './plugin/kubernetes-index.ts';
import { LoadbalancePlugin } from './plugin/loadbalance.ts';
import { LogPlugin } from './plugin/log.ts';
import { corefileError, type Directive, type Plugin } from './plugin.ts';

/** What plugins are made from. */
export interface PluginContext {
  zones: readonly string[];
  index: KubernetesIndex;
  write: (line: string) => void;
  nowMs: () => number;
  random32: () => number;
}

type Make = (directive: Directive, context: PluginContext) => Plugin | undefined;

/** Directives of the server itself rather than of the chain; server.ts reads them. */
const OF_THE_SERVER: Make = () => undefined;

/**
 * The order in which plugins see a query, whatever their order in the Corefile (plugin.cfg upstream). This list is
 * also the list of directives a Corefile may use.
 */
export const PLUGINS: readonly (readonly [name: string, make: Make])[] = [
  ['reload', OF_THE_SERVER],
  ['ready', OF_THE_SERVER],
  ['health', OF_THE_SERVER],
  ['prometheus', OF_THE_SERVER],
  ['errors', (_directive, context) => new ErrorsPlugin(context.write)],
  ['log', (_directive, context) => new LogPlugin(context.write, context.nowMs)],
  ['loadbalance', (_directive, context) => new LoadbalancePlugin(context.random32)],
  ['cache', (directive, context) => new CachePlugin(directive, context.zones, context.nowMs)],
  [
    'kubernetes',
    (directive, context) => new KubernetesPlugin(kubernetesOptions(directive, context.zones), context.index),
  ],
  ['loop', OF_THE_SERVER],
];

/** Builds a server block's chain in the fixed order. Throws CorefileError for an unknown directive. */
export function buildChain(directives: readonly Directive[], context: PluginContext): Plugin[] {
  for (const directive of directives) {
    if (!PLUGINS.some(([name]) => name === directive.name))
      throw corefileError(directive, `Unknown directive '${directive.name}'`);
  }
  return PLUGINS.flatMap(([name, make]) =>
    directives
      .filter((directive) => directive.name === name)
      .map((directive) => make(directive, context))
      .filter((plugin) => plugin !== undefined),
  );
}
