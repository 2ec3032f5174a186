import { notAcceptable } from '@podwire/kube/status';
import type { TableMaker } from './table.ts';

/** How a response is to be written. */
export interface Representation {
  format: 'json' | 'yaml';
  /** The kind asked for instead of the resource's own. */
  as?: 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList' | 'APIGroupDiscoveryList';
  /** Version of that kind's group. */
  version?: string;
  /** Makes the table, when one is asked for. */
  table?: TableMaker;
}

export interface MediaType {
  type: string;
  parameters: ReadonlyMap<string, string>;
}

const META_VERSIONS: readonly string[] = ['v1', 'v1beta1'];
const DISCOVERY_VERSIONS: readonly string[] = ['v2', 'v2beta1'];
const ACCEPTED: readonly string[] = ['application/json', 'application/yaml'];

/** Splits `application/json;as=Table;v=v1, …` into its media types, best first. */
export function parseAccept(header: string): MediaType[] {
  return header
    .split(',')
    .map((clause) => parseMediaType(clause))
    .filter((each) => each.type !== '')
    .map((each, index) => ({ each, index, quality: Number(each.parameters.get('q') ?? 1) }))
    .sort((a, b) => b.quality - a.quality || a.index - b.index)
    .map(({ each }) => each);
}

export function parseMediaType(text: string): MediaType {
  const [type = '', ...rest] = text.split(';').map((part) => part.trim());
  const parameters = new Map<string, string>();
  for (const part of rest) {
    const equals = part.indexOf('=');
    if (equals > 0)
      parameters.set(part.slice(0, equals).toLowerCase(), part.slice(equals + 1).replace(/^"|"$/g, ''));
  }
  return { type: type.toLowerCase(), parameters };
}

/**
 * Chooses the first representation of the Accept header that this server has: JSON or YAML, plain or as one of the kinds in
 * `conversions`. Throws 406 when there is none.
 */
export function negotiate(
  accept: string | undefined,
  conversions: readonly NonNullable<Representation['as']>[],
): Representation {
  if (accept === undefined || accept === '') return { format: 'json' };
  for (const { type, parameters } of parseAccept(accept)) {
    const format = formatOf(type);
    if (format === undefined) continue;
    const as = parameters.get('as');
    if (as === undefined) return { format };
    const kind = conversions.find((each) => each === as);
    const version = parameters.get('v') ?? '';
    if (kind === undefined) continue;
    const [group, versions] =
      kind === 'APIGroupDiscoveryList'
        ? ['apidiscovery.k8s.io', DISCOVERY_VERSIONS]
        : ['meta.k8s.io', META_VERSIONS];
    if (parameters.get('g') === group && versions.includes(version)) return { format, as: kind, version };
  }
  throw notAcceptable(ACCEPTED);
}

function formatOf(type: string): Representation['format'] | undefined {
  if (type === 'application/json' || type === '*/*' || type === 'application/*') return 'json';
  return type === 'application/yaml' ? 'yaml' : undefined;
}
