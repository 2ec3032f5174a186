/**
 * The environment of a container. Source: upstream pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables.
 */
import type { ConfigMap, Container, Pod, Secret } from 'kubernetes-types/core/v1.js';
import { fieldValue, type NodeResources, type PodAddresses, resourceValue } from './downward.ts';
import { expand } from './expansion.ts';

/** Where a container's configuration comes from. */
export interface ConfigSource {
  configMap(namespace: string, name: string): ConfigMap | undefined;
  secret(namespace: string, name: string): Secret | undefined;
}

/** A container cannot be made because of its configuration: waiting reason CreateContainerConfigError. */
export class ContainerConfigError extends Error {}

/** What a Secret holds under a key, as text. */
export function secretText(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}

/**
 * Variables in the order they are declared: envFrom, then env, then the Services' that neither of them sets.
 * @throws ContainerConfigError with upstream's text
 */
export function containerEnvironment(o: {
  pod: Pod;
  container: Container;
  where: PodAddresses;
  node: NodeResources;
  config: ConfigSource;
  services: ReadonlyMap<string, string>;
}): Record<string, string> {
  const namespace = o.pod.metadata?.namespace ?? '';
  const env = new Map<string, string>();
  for (const from of o.container.envFrom ?? []) {
    const reference = from.configMapRef ?? from.secretRef;
    if (reference === undefined) continue;
    const name = reference.name ?? '';
    const data =
      from.configMapRef !== undefined
        ? o.config.configMap(namespace, name)?.data
        : secretData(o.config.secret(namespace, name));
    const exists =
      from.configMapRef !== undefined
        ? o.config.configMap(namespace, name) !== undefined
        : o.config.secret(namespace, name) !== undefined;
    if (!exists) {
      if (reference.optional) continue;
      throw notFound(from.configMapRef !== undefined ? 'configmap' : 'secret', name);
    }
    for (const [key, value] of Object.entries(data ?? {})) {
      const variable = `${from.prefix ?? ''}${key}`;
      // A key that is no variable name is left out, as upstream (Event InvalidEnvironmentVariableNames).
      if (/^[-._a-zA-Z][-._a-zA-Z0-9]*$/.test(variable)) env.set(variable, value);
    }
  }
  const lookup = (name: string) => env.get(name) ?? o.services.get(name);
  for (const variable of o.container.env ?? []) {
    if (variable.value) {
      env.set(variable.name, expand(variable.value, lookup));
      continue;
    }
    const value = variable.valueFrom === undefined ? '' : valueFrom(o, namespace, variable.valueFrom);
    if (value !== undefined) env.set(variable.name, value);
  }
  for (const [name, value] of o.services) if (!env.has(name)) env.set(name, value);
  return Object.fromEntries(env);
}

/** Expands `$(NAME)` in a container's command or arguments. */
export function expandArguments(words: readonly string[], env: Readonly<Record<string, string>>): string[] {
  return words.map((word) => expand(word, (name) => env[name]));
}

type ValueFrom = NonNullable<NonNullable<Container['env']>[number]['valueFrom']>;

/** The text of a valueFrom, undefined for an optional one that is not there. */
function valueFrom(
  o: { pod: Pod; container: Container; where: PodAddresses; node: NodeResources; config: ConfigSource },
  namespace: string,
  source: ValueFrom,
): string | undefined {
  if (source.fieldRef !== undefined) return configured(() => fieldValue(o.pod, source.fieldRef!, o.where));
  if (source.resourceFieldRef !== undefined) {
    const { containerName } = source.resourceFieldRef;
    const all = [...(o.pod.spec?.containers ?? []), ...(o.pod.spec?.initContainers ?? [])];
    const container = containerName ? all.find((c) => c.name === containerName) : o.container;
    if (container === undefined) throw new ContainerConfigError(`container ${containerName} not found`);
    return configured(() => resourceValue(container, source.resourceFieldRef!, o.node));
  }
  const reference = source.configMapKeyRef ?? source.secretKeyRef;
  if (reference === undefined) return '';
  const isConfigMap = source.configMapKeyRef !== undefined;
  const name = reference.name ?? '';
  const map = isConfigMap ? o.config.configMap(namespace, name) : o.config.secret(namespace, name);
  if (map === undefined) {
    if (reference.optional) return undefined;
    throw notFound(isConfigMap ? 'configmap' : 'secret', name);
  }
  const text = isConfigMap
    ? (map as ConfigMap).data?.[reference.key]
    : secretData(map as Secret)?.[reference.key];
  if (text === undefined && !reference.optional) {
    const kind = isConfigMap ? 'ConfigMap' : 'Secret';
    throw new ContainerConfigError(`couldn't find key ${reference.key} in ${kind} ${namespace}/${name}`);
  }
  return text;
}

function secretData(secret: Secret | undefined): Record<string, string> | undefined {
  if (secret === undefined) return undefined;
  const text: Record<string, string> = {};
  for (const [key, value] of Object.entries(secret.data ?? {})) text[key] = secretText(value);
  return text;
}

function configured(read: () => string): string {
  try {
    return read();
  } catch (error) {
    throw new ContainerConfigError((error as Error).message);
  }
}

function notFound(kind: 'configmap' | 'secret', name: string): ContainerConfigError {
  return new ContainerConfigError(`${kind} ${JSON.stringify(name)} not found`);
}
