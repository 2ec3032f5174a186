import { asObject, asObjects, fillAbsent, fillObject, isEmpty, type JsonObject } from '../json-fields.ts';
import { isJsonObject } from '../object.ts';

/** Source: pkg/apis/networking/v1/defaults.go. */
export function defaultNetworkPolicy(policy: JsonObject): void {
  const spec = fillObject(policy, 'spec');
  if (spec === undefined) return;
  fillObject(spec, 'podSelector');
  for (const rule of [...asObjects(spec.ingress), ...asObjects(spec.egress)]) {
    for (const port of asObjects(rule.ports)) fillAbsent(port, 'protocol', 'TCP');
  }
  if (isEmpty(spec.policyTypes)) {
    spec.policyTypes = isEmpty(spec.egress) ? ['Ingress'] : ['Ingress', 'Egress'];
  }
}

export function defaultIngressClass(ingressClass: JsonObject): void {
  const { parameters } = asObject(ingressClass.spec);
  if (isJsonObject(parameters)) fillAbsent(parameters, 'scope', 'Cluster');
}

/** Source: pkg/apis/discovery/v1/defaults.go. */
export function defaultEndpointSlice(slice: JsonObject): void {
  for (const port of asObjects(slice.ports)) {
    fillAbsent(port, 'name', '');
    fillAbsent(port, 'protocol', 'TCP');
  }
}
