/** What an API path names. Proxy paths keep their tail as it came, still encoded, with its leading slash. */
export interface ResourcePath {
  group: string;
  version: string;
  /** '' without one: cluster-scoped, or all namespaces. */
  namespace: string;
  plural: string;
  /** '' for the collection. */
  name: string;
  subresource: string;
  tail: string;
}

/**
 * Reads `/api/VERSION/…` and `/apis/GROUP/VERSION/…` below the version (apiserver pkg/endpoints/request/requestinfo.go).
 * Undefined when the path names no resource or is malformed.
 */
export function parseResourcePath(pathname: string): ResourcePath | undefined {
  const raw = pathname.split('/').slice(1);
  const skip = raw[0] === 'api' ? 2 : raw[0] === 'apis' ? 3 : 0;
  if (skip === 0 || raw.length <= skip) return undefined;
  const parts: string[] = [];
  for (const each of raw) {
    const part = decodeSegment(each);
    if (part === undefined) return undefined;
    parts.push(part);
  }
  const group = skip === 2 ? '' : parts[1]!;
  const version = parts[skip - 1]!;
  let at = skip;
  let namespace = '';
  // `namespaces/NAME` and its own subresources name the namespace itself; anything longer lies in it.
  if (parts[at] === 'namespaces' && parts.length > at + 2 && !isNamespaceSubresource(parts, at)) {
    namespace = parts[at + 1]!;
    at += 2;
  }
  const [plural = '', name = '', subresource = ''] = parts.slice(at);
  const rest = raw.slice(at + 3);
  if (plural === '' || (rest.length > 0 && subresource !== 'proxy')) return undefined;
  if (namespace === '' && at > skip) return undefined;
  return {
    group,
    version,
    namespace,
    plural,
    name,
    subresource,
    tail: rest.length > 0 ? `/${rest.join('/')}` : '',
  };
}

function isNamespaceSubresource(parts: readonly string[], at: number): boolean {
  const [subresource, ...rest] = parts.slice(at + 2);
  return rest.length === 0 && (subresource === 'status' || subresource === 'finalize');
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
