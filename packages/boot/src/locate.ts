const packages = new URL('../../', import.meta.url).href;

/** Modules that stand in for others when our code imports them. */
const STAND_INS: Readonly<Record<string, string>> = {
  'node:http': new URL('./node-http.ts', import.meta.url).href,
};

const OWN_FILE = /^\.\.?\/.*\.ts$/;
const OWN_PACKAGE = /^@podwire\/([a-z]+)\/(.+)$/;

/**
 * The URL of the module that an import of ours leads to; undefined for what is not ours. Node's resolution would look for links
 * and a package.json on every level on the way, and for this repository's imports there is nothing to find out: a relative one
 * names its file, and `@podwire/PACKAGE/NAME` is `packages/PACKAGE/src/NAME.ts`, as the `exports` of each package say.
 */
export function locate(specifier: string, parentUrl: string | undefined): string | undefined {
  if (parentUrl?.startsWith(packages) !== true) return undefined;
  if (OWN_FILE.test(specifier)) return new URL(specifier, parentUrl).href;
  const [, name, path] = OWN_PACKAGE.exec(specifier) ?? [];
  return name === undefined ? STAND_INS[specifier] : `${packages}${name}/src/${path}.ts`;
}
