/**
 * What the containers of one pod are started with: environment, arguments and files, from the pod's own object and from
 * ConfigMaps, Secrets and Services of its namespace.
 */
import type { ContainerSpec, ProbeSpec } from '@podwire/workload/container';
import type { SharedVolume } from '@podwire/workload/shell/files';
import type { ConfigMap, Container, Pod, Secret, Service } from 'kubernetes-types/core/v1.js';
import type { PodAddresses } from './downward.ts';
import { type ConfigSource, containerEnvironment, expandArguments } from './env.ts';
import type { PodContext } from './pod-context.ts';
import { serviceEnvironment, servicesForPod } from './service-env.ts';
import { containerFiles, type VolumeContext, VolumeError, volumeFiles } from './volumes.ts';

export interface ConfiguredPod {
  /** The newest object. */
  readonly pod: Pod;
  readonly podIPs: readonly string[];
}

interface ConfiguredContainer {
  readonly container: Container;
  readonly spec: ContainerSpec;
  /** All files of the container: the map it reads. */
  readonly files: Map<string, string>;
  /** Those of them that its volumes gave it. */
  mounted: ReadonlyMap<string, string>;
}

export class PodConfig {
  readonly #context: PodContext;
  readonly #owner: ConfiguredPod;
  readonly #specs = new Map<string, ConfiguredContainer>();
  readonly #emptyDirs = new Map<string, SharedVolume>();
  #volumes: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map();

  constructor(context: PodContext, owner: ConfiguredPod) {
    this.#context = context;
    this.#owner = owner;
  }

  /**
   * Sets up the pod's volumes.
   * @throws VolumeError in the words of an Event FailedMount
   */
  mount(): void {
    this.#volumes = this.#readVolumes();
  }

  /** The pod's emptyDirs where this container mounts them: one map for all containers of the pod. */
  #emptyDirsOf(container: Container): ReadonlyMap<string, SharedVolume> {
    const names = new Set(
      (this.#owner.pod.spec?.volumes ?? [])
        .filter(({ emptyDir }) => emptyDir !== undefined)
        .map(({ name }) => name),
    );
    const mounts = new Map<string, SharedVolume>();
    for (const { name, mountPath } of container.volumeMounts ?? []) {
      if (!names.has(name)) continue;
      const shared = this.#emptyDirs.get(name) ?? new Map();
      this.#emptyDirs.set(name, shared);
      mounts.set(mountPath, shared);
    }
    return mounts;
  }

  /** @throws ContainerConfigError */
  specFor(container: Container): ContainerSpec {
    const { state, resources, settings } = this.#context;
    const { pod } = this.#owner;
    const links = pod.spec?.enableServiceLinks !== false;
    const services = servicesForPod(state.list<Service>('services'), pod.metadata!.namespace!, links);
    const env = containerEnvironment({
      pod,
      container,
      where: this.#where(),
      node: resources,
      config: this.#source,
      services: serviceEnvironment(services),
    });
    const files = containerFiles(container, this.#volumes, env, this.#volumeContext());
    const emptyDirs = this.#emptyDirsOf(container);
    const spec: ContainerSpec = {
      name: container.name,
      image: container.image ?? '',
      command: expandArguments(container.command ?? [], env),
      args: expandArguments(container.args ?? [], env),
      env,
      ports: (container.ports ?? []).map(({ name, containerPort, protocol }) => ({
        ...(name !== undefined && { name }),
        containerPort,
        protocol: protocol ?? 'TCP',
      })),
      probes: {
        readiness: container.readinessProbe as ProbeSpec,
        liveness: container.livenessProbe as ProbeSpec,
        startup: container.startupProbe as ProbeSpec,
      },
      files,
      ...(emptyDirs.size > 0 && { volumes: emptyDirs }),
      // Waiting for others is what init containers do: in a lab whose probes are quick, their sleeps are too.
      ...(pod.spec?.initContainers?.some(({ name }) => name === container.name) && {
        sleepScale: settings.probeDelayScale,
      }),
      ...(container.workingDir !== undefined && { workingDir: container.workingDir }),
    };
    this.#specs.set(container.name, { container, spec, files, mounted: new Map(files) });
    return spec;
  }

  /** Brings the files of running containers up to date; the specs whose files are others now. */
  refresh(): ContainerSpec[] {
    try {
      this.#volumes = this.#readVolumes();
    } catch {
      return []; // what a running container had mounted stays, as upstream
    }
    const changed: ContainerSpec[] = [];
    for (const entry of this.#specs.values()) {
      const { container, spec, files, mounted } = entry;
      const fresh = containerFiles(container, this.#volumes, spec.env, this.#volumeContext());
      if (!replaceFiles(files, mounted, fresh)) continue;
      entry.mounted = fresh;
      changed.push(spec);
    }
    return changed;
  }

  #readVolumes(): Map<string, Map<string, string>> {
    const context = this.#volumeContext();
    const volumes = new Map<string, Map<string, string>>();
    for (const volume of this.#owner.pod.spec?.volumes ?? []) {
      try {
        volumes.set(volume.name, volumeFiles(volume, context));
      } catch (error) {
        if (!(error instanceof VolumeError)) throw error;
        throw new VolumeError(
          `MountVolume.SetUp failed for volume ${JSON.stringify(volume.name)} : ${error.message}`,
        );
      }
    }
    return volumes;
  }

  #volumeContext(): VolumeContext {
    const { resources, clusterCaPem, serviceAccountToken } = this.#context;
    return {
      pod: this.#owner.pod,
      where: this.#where(),
      node: resources,
      config: this.#source,
      clusterCaPem,
      serviceAccountToken,
    };
  }

  #where(): PodAddresses {
    return {
      podIPs: this.#owner.podIPs,
      hostIPs: this.#context.nodeAddresses,
      nodeName: this.#context.nodeName,
    };
  }

  readonly #source: ConfigSource = {
    configMap: (namespace, name) => this.#context.state.get<ConfigMap>('configmaps', namespace, name),
    secret: (namespace, name) => this.#context.state.get<Secret>('secrets', namespace, name),
  };
}

/** Makes `files` hold `next` in place of `before`; false when that is the same. */
function replaceFiles(
  files: Map<string, string>,
  before: ReadonlyMap<string, string>,
  next: ReadonlyMap<string, string>,
): boolean {
  if (before.size === next.size && [...next].every(([path, text]) => before.get(path) === text)) return false;
  for (const path of before.keys()) if (!next.has(path)) files.delete(path);
  for (const [path, text] of next) files.set(path, text);
  return true;
}
