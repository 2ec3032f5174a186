import {
  asObject,
  asObjects,
  fillAbsent,
  fillObject,
  fillText,
  isAbsent,
  type JsonObject,
} from '../json-fields.ts';

const CLIENT_IP_TIMEOUT_SECONDS = 10_800;

/**
 * Source: pkg/apis/core/v1/defaults.go, SetDefaults_Service. Cluster addresses, families and node ports are given by the
 * allocator.
 */
export function defaultService(service: JsonObject): void {
  const spec = fillObject(service, 'spec');
  if (spec === undefined) return;
  fillText(spec, 'sessionAffinity', 'None');
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === 'ClientIP') {
    const { clientIP } = asObject(spec.sessionAffinityConfig);
    if (isAbsent(asObject(clientIP).timeoutSeconds)) {
      spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: CLIENT_IP_TIMEOUT_SECONDS } };
    }
  }
  fillText(spec, 'type', 'ClusterIP');
  for (const port of asObjects(spec.ports)) {
    fillText(port, 'protocol', 'TCP');
    const { targetPort } = port;
    const unset = isAbsent(targetPort) || targetPort === 0 || targetPort === '';
    if (unset && typeof port.port === 'number') port.targetPort = port.port;
  }
  if (isExternallyAccessible(spec)) fillText(spec, 'externalTrafficPolicy', 'Cluster');
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer' || spec.type === 'ClusterIP') {
    fillAbsent(spec, 'internalTrafficPolicy', 'Cluster');
  }
  if (spec.type !== 'LoadBalancer') return;
  fillAbsent(spec, 'allocateLoadBalancerNodePorts', true);
  for (const ingress of asObjects(asObject(asObject(service.status).loadBalancer).ingress)) {
    if (typeof ingress.ip === 'string' && ingress.ip !== '') fillAbsent(ingress, 'ipMode', 'VIP');
  }
}

/** True when traffic from outside the cluster can reach the service (pkg/api/v1/service, ExternallyAccessible). */
export function isExternallyAccessible(spec: JsonObject): boolean {
  return (
    spec.type === 'LoadBalancer' ||
    spec.type === 'NodePort' ||
    (spec.type === 'ClusterIP' && Array.isArray(spec.externalIPs) && spec.externalIPs.length > 0)
  );
}
