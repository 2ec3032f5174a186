import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileFunction } from 'node:vm';
// Before the library, whose decorators need it.
import 'reflect-metadata';
import type * as X509 from '@peculiar/x509';

/**
 * The library out of the one file that it ships for the `<script>` element of a browser: 30 ms, where Node's entry takes 80 to read
 * 213 modules, and a controller makes certificates before it serves.
 */
function load(): typeof X509 {
  const path = createRequire(import.meta.url).resolve('@peculiar/x509/build/x509.js');
  return compileFunction(`${readFileSync(path, 'utf8')}\nreturn x509;`, [], { filename: path })();
}

export const x509 = load();
