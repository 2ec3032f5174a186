/**
 * Volumes as the files they put into containers. Source: upstream pkg/volume/{configmap,secret,downwardapi,projected}.
 */
import type {
  ConfigMapVolumeSource,
  Container,
  DownwardAPIVolumeFile,
  Pod,
  Volume,
} from 'kubernetes-types/core/v1.js';
import { fieldValue, type NodeResources, type PodAddresses, resourceValue } from './downward.ts';
import { type ConfigSource, secretText } from './env.ts';
import { expand } from './expansion.ts';

/** A volume cannot be set up: an Event FailedMount, and the containers wait. */
export class VolumeError extends Error {}

export interface VolumeContext {
  readonly pod: Pod;
  readonly where: PodAddresses;
  readonly node: NodeResources;
  readonly config: ConfigSource;
  /** PEM of the cluster's authority, for the kube-root-ca.crt ConfigMap while there is none. */
  readonly clusterCaPem: string;
  /** A token by which the pod's service account shows itself to the API server. */
  readonly serviceAccountToken: (namespace: string, serviceAccount: string) => string;
}

/** Where a pod finds its service account's credentials. */
export const SERVICE_ACCOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The files of one volume by their path in it. A volume that holds no configuration is an empty directory. */
export function volumeFiles(volume: Volume, context: VolumeContext): Map<string, string> {
  if (volume.configMap !== undefined) return configMapFiles(volume.configMap, context);
  if (volume.secret !== undefined) {
    return secretFiles({ ...volume.secret, name: volume.secret.secretName ?? '' }, context);
  }
  if (volume.downwardAPI !== undefined) return downwardFiles(volume.downwardAPI.items ?? [], context);
  const files = new Map<string, string>();
  for (const source of volume.projected?.sources ?? []) {
    if (source.configMap !== undefined) addAll(files, configMapFiles(source.configMap, context));
    if (source.secret !== undefined) {
      addAll(files, secretFiles({ ...source.secret, name: source.secret.name ?? '' }, context));
    }
    if (source.downwardAPI !== undefined) {
      addAll(files, downwardFiles(source.downwardAPI.items ?? [], context));
    }
    if (source.serviceAccountToken !== undefined) files.set(source.serviceAccountToken.path, token(context));
  }
  return files;
}

/**
 * The files of one container by their absolute path: its volume mounts, and the service account's credentials unless
 * the pod has them mounted by a volume or asks for none.
 * @param volumes files of each volume of the pod, by name
 */
export function containerFiles(
  container: Container,
  volumes: ReadonlyMap<string, ReadonlyMap<string, string>>,
  env: Readonly<Record<string, string>>,
  context: VolumeContext,
): Map<string, string> {
  const files = new Map<string, string>();
  for (const mount of container.volumeMounts ?? []) {
    const inVolume = volumes.get(mount.name);
    if (inVolume === undefined) continue;
    const at = mount.mountPath.replace(/\/+$/, '');
    const subPath = mount.subPath ?? expand(mount.subPathExpr ?? '', (name) => env[name]);
    const prefix = subPath.replace(/^\/+|\/+$/g, '');
    for (const [path, content] of inVolume) {
      if (prefix === '') files.set(`${at}/${path}`, content);
      else if (path === prefix) files.set(at, content);
      else if (path.startsWith(`${prefix}/`)) files.set(`${at}/${path.slice(prefix.length + 1)}`, content);
    }
  }
  const { pod } = context;
  const wanted = pod.spec?.automountServiceAccountToken !== false;
  if (wanted && !(container.volumeMounts ?? []).some((mount) => mount.mountPath === SERVICE_ACCOUNT_PATH)) {
    files.set(`${SERVICE_ACCOUNT_PATH}/token`, token(context));
    files.set(`${SERVICE_ACCOUNT_PATH}/ca.crt`, context.clusterCaPem);
    files.set(`${SERVICE_ACCOUNT_PATH}/namespace`, pod.metadata?.namespace ?? 'default');
  }
  return files;
}

type Source = Pick<ConfigMapVolumeSource, 'name' | 'items' | 'optional'>;

function configMapFiles(source: Source, context: VolumeContext): Map<string, string> {
  const namespace = context.pod.metadata?.namespace ?? '';
  const name = source.name ?? '';
  const configMap = context.config.configMap(namespace, name);
  if (configMap === undefined && name === 'kube-root-ca.crt') {
    return selectItems(new Map([['ca.crt', context.clusterCaPem]]), source, 'configmap references');
  }
  if (configMap === undefined) {
    if (source.optional) return new Map();
    throw new VolumeError(`configmap ${JSON.stringify(name)} not found`);
  }
  const all = new Map(Object.entries(configMap.data ?? {}));
  for (const [key, value] of Object.entries(configMap.binaryData ?? {})) all.set(key, secretText(value));
  return selectItems(all, source, 'configmap references non-existent config key');
}

function secretFiles(source: Source, context: VolumeContext): Map<string, string> {
  const name = source.name ?? '';
  const secret = context.config.secret(context.pod.metadata?.namespace ?? '', name);
  if (secret === undefined) {
    if (source.optional) return new Map();
    throw new VolumeError(`secret ${JSON.stringify(name)} not found`);
  }
  const all = new Map(Object.entries(secret.data ?? {}).map(([key, value]) => [key, secretText(value)]));
  return selectItems(all, source, 'references non-existent secret key');
}

function selectItems(all: Map<string, string>, source: Source, missing: string): Map<string, string> {
  if (source.items === undefined || source.items.length === 0) return all;
  const chosen = new Map<string, string>();
  for (const { key, path } of source.items) {
    const content = all.get(key);
    if (content !== undefined) chosen.set(path, content);
    else if (!source.optional) throw new VolumeError(`${missing}: ${key}`);
  }
  return chosen;
}

function downwardFiles(items: readonly DownwardAPIVolumeFile[], context: VolumeContext): Map<string, string> {
  const files = new Map<string, string>();
  for (const item of items) {
    try {
      if (item.fieldRef !== undefined) {
        files.set(item.path, fieldValue(context.pod, item.fieldRef, context.where));
      } else if (item.resourceFieldRef !== undefined) {
        const { containerName } = item.resourceFieldRef;
        const all = [...(context.pod.spec?.containers ?? []), ...(context.pod.spec?.initContainers ?? [])];
        const container = all.find(({ name }) => name === containerName);
        if (container === undefined) throw new Error(`container ${containerName} not found`);
        files.set(item.path, resourceValue(container, item.resourceFieldRef, context.node));
      }
    } catch (error) {
      throw new VolumeError((error as Error).message);
    }
  }
  return files;
}

function token(context: VolumeContext): string {
  const { metadata, spec } = context.pod;
  return context.serviceAccountToken(metadata?.namespace ?? 'default', spec?.serviceAccountName ?? 'default');
}

function addAll(to: Map<string, string>, from: ReadonlyMap<string, string>): void {
  for (const [path, content] of from) to.set(path, content);
}
