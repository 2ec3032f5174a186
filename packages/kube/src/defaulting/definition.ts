import {
  asObject,
  asText,
  fillNumber,
  fillObject,
  fillText,
  isUnset,
  type JsonObject,
} from '../json-fields.ts';
import { isJsonObject } from '../object.ts';

/** CustomResourceDefinition (apiextensions-apiserver pkg/apis/apiextensions/v1/defaults.go). */
export function defaultDefinition(definition: JsonObject): void {
  const spec = fillObject(definition, 'spec');
  if (spec === undefined) return;
  const names = fillObject(spec, 'names');
  const kind = asText(names?.kind);
  if (names !== undefined && !isUnset(kind)) {
    fillText(names, 'singular', kind.toLowerCase());
    fillText(names, 'listKind', `${kind}List`);
  }
  const conversion = fillObject(spec, 'conversion');
  if (conversion === undefined) return;
  fillText(conversion, 'strategy', 'None');
  const { service } = asObject(asObject(conversion.webhook).clientConfig);
  if (isJsonObject(service)) fillNumber(service, 'port', 443);
}
