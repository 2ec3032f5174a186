/** True when `name` is `zone` or lies below it; both lower case without a final dot, '' is the root. */
export function isInZone(name: string, zone: string): boolean {
  return (
    zone === '' ||
    name === zone ||
    (name.length > zone.length && name.endsWith(zone) && name[name.length - zone.length - 1] === '.')
  );
}

/** The longest of the zones that a name lies in. */
export function longestZone(name: string, zones: readonly string[]): string | undefined {
  let best: string | undefined;
  for (const zone of zones)
    if (isInZone(name, zone) && (best === undefined || zone.length > best.length)) best = zone;
  return best;
}

/** The address a reverse name stands for (RFC 1035 3.5, RFC 3596 2.5); undefined when it is none. */
export function addressOfReverseName(name: string): string | undefined {
  const v4 = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (v4)
    return [v4[4], v4[3], v4[2], v4[1]].map(Number).every((n) => n < 256)
      ? `${v4[4]}.${v4[3]}.${v4[2]}.${v4[1]}`
      : undefined;
  const v6 = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name);
  if (!v6) return undefined;
  const nibbles = v6[1]!.replaceAll('.', '').split('').reverse().join('');
  return nibbles.match(/.{4}/g)!.join(':');
}
