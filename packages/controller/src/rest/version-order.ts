/**
 * Orders API versions by preference: GA before beta before alpha, newer first, anything else last by name
 * (apimachinery pkg/version/helpers.go): v2, v1, v2beta1, v1beta2, v1alpha1, foo.
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parse(a), parse(b)];
  if (left === undefined || right === undefined) {
    if (left !== undefined) return -1;
    return right !== undefined ? 1 : a < b ? -1 : Number(a > b);
  }
  return right.stability - left.stability || right.major - left.major || right.minor - left.minor;
}

const STABILITIES: readonly string[] = ['alpha', 'beta'];

function parse(version: string): { stability: number; major: number; minor: number } | undefined {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (match === null) return undefined;
  const [, major, stability, minor] = match;
  return {
    stability: stability === undefined ? STABILITIES.length : STABILITIES.indexOf(stability),
    major: Number(major),
    minor: Number(minor ?? 0),
  };
}
