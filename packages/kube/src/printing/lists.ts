/** Labels as `a=b,c=d` in order of their keys (apimachinery labels.FormatLabels). */
export function formatLabels(labels: Readonly<Record<string, string>> | undefined): string {
  const pairs = Object.entries(labels ?? {}).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? '<none>' : pairs.sort().join(',');
}

/** The first `most` items, and how many more there are: `a,b,c + 2 more...`. */
export function firstOf(items: readonly string[], most: number, separator = ','): string {
  const shown = items.slice(0, most).join(separator);
  return items.length > most ? `${shown} + ${items.length - most} more...` : shown;
}

/** Items joined by commas, `<none>` for none. */
export function joined(items: readonly string[]): string {
  return items.length === 0 ? '<none>' : items.join(',');
}

/** Host and port as one text; an IPv6 host in brackets. */
export function hostPort(host: string, port: number | string): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
