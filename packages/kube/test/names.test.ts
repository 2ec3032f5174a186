import { seededRandom32 } from '@podwire/testkit/seeded-random';
import { describe, expect, test } from 'vitest';
import { fnv32a, generateName, randomSuffix, safeEncode } from '../src/generate-name.ts';
import {
  configMapKeyErrors,
  dns1035LabelErrors,
  dns1123LabelErrors,
  dns1123SubdomainErrors,
  environmentNameErrors,
  labelValueErrors,
  pathSegmentErrors,
  percentErrors,
  portNameErrors,
  portNumberErrors,
  qualifiedNameErrors,
  wildcardSubdomainErrors,
} from '../src/names.ts';

const long = 'a'.repeat(64);

describe('names', () => {
  test.each<[(value: string) => string[], string]>([
    [qualifiedNameErrors, 'app'],
    [qualifiedNameErrors, 'example.com/App_1.x'],
    [labelValueErrors, ''],
    [labelValueErrors, 'A.b_c-1'],
    [dns1123LabelErrors, '1-a'],
    [dns1123SubdomainErrors, 'a.b-c.d'],
    [dns1035LabelErrors, 'a-1'],
    [wildcardSubdomainErrors, '*.example.com'],
    [portNameErrors, 'http-1'],
    [environmentNameErrors, 'A_b.c-1'],
    [configMapKeyErrors, 'a.conf'],
    [pathSegmentErrors, 'system:node'],
    [percentErrors, '50%'],
  ])('%o accepts %j', (check, value) => {
    expect(check(value)).toEqual([]);
  });

  test.each<[(value: string) => string[], string, string]>([
    [qualifiedNameErrors, '', 'name part must be non-empty'],
    [qualifiedNameErrors, '/a', 'prefix part must be non-empty'],
    [qualifiedNameErrors, `a/${long}`, 'name part must be no more than 63 characters'],
    [labelValueErrors, '-a', 'a valid label must be an empty string or consist of'],
    [dns1123LabelErrors, 'a.b', 'must not contain dots'],
    [dns1123LabelErrors, long, 'must be no more than 63 characters'],
    [dns1123SubdomainErrors, 'A', 'a lowercase RFC 1123 subdomain must consist of'],
    [dns1035LabelErrors, '1a', 'a DNS-1035 label must consist of'],
    [wildcardSubdomainErrors, 'example.com', 'a wildcard DNS-1123 subdomain must start with'],
    [portNameErrors, 'a--b', 'must not contain consecutive hyphens'],
    [portNameErrors, '123', 'must contain at least one letter (a-z)'],
    [portNameErrors, 'abcdefghijklmnop', 'must be no more than 15 characters'],
    [environmentNameErrors, '1a', 'a valid environment variable name must consist of'],
    [configMapKeyErrors, '..', "must not be '..'"],
    [configMapKeyErrors, 'a/b', 'a valid config key must consist of'],
    [pathSegmentErrors, 'a/b', "may not contain '/'"],
  ])('%o refuses %j', (check, value, text) => {
    expect(check(value).some((error) => error.startsWith(text))).toBe(true);
  });

  test('the whole text, with its two blanks', () => {
    expect(dns1035LabelErrors('1a')).toEqual([
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
    ]);
  });

  test('ports', () => {
    expect(portNumberErrors(1)).toEqual([]);
    expect(portNumberErrors(65535)).toEqual([]);
    expect(portNumberErrors(0)).toEqual(['must be between 1 and 65535, inclusive']);
    expect(portNumberErrors(65536)).toHaveLength(1);
  });
});

describe('generated names', () => {
  const random32 = seededRandom32(1);

  test('suffixes use the safe alphabet', () => {
    expect(randomSuffix(random32, 200)).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{200}$/);
    expect(randomSuffix(() => 0)).toBe('bbbbb');
  });

  test('long bases are cut to a DNS label', () => {
    expect(generateName('web-', () => 1)).toBe('web-ccccc');
    expect(generateName(long, random32)).toHaveLength(63);
  });

  test('hash spelling', () => {
    expect(safeEncode('0123456789')).toBe('456789bcdf');
    // Values of the FNV-1a reference: isthe.com, "FNV test vectors".
    expect(fnv32a('')).toBe(0x811c9dc5);
    expect(fnv32a('a')).toBe(0xe40c292c);
    expect(fnv32a('foobar')).toBe(0xbf9cf968);
  });
});
