import { posix } from 'node:path';

/** The files of a volume that several containers mount, by their path in it. */
export type SharedVolume = Map<string, Buffer>;

/** Why a file cannot be written, as errno's text. */
export class FileProblem extends Error {}

export interface FileLayers {
  /** What is mounted read-only, by absolute path; an update shows while the container runs. */
  mounted?: ReadonlyMap<string, string> | undefined;
  /** Volumes that are written to, by where they are mounted. */
  volumes?: ReadonlyMap<string, SharedVolume> | undefined;
  /** What any image has. */
  image?: ReadonlyMap<string, string> | undefined;
  /** Makes missing directories when a file is written: for containers whose mounts are not told. */
  makesParents?: boolean;
}

/**
 * A container's files: what its image has, what is mounted, read through so that updates show, and what its commands
 * write. Held in memory, bounded, gone with the container but for its volumes.
 */
export class Files {
  readonly #own = new Map<string, Buffer>();
  readonly #directories = new Set(DIRECTORIES);
  readonly #mounted: ReadonlyMap<string, string>;
  readonly #image: ReadonlyMap<string, string>;
  readonly #volumes: readonly (readonly [string, SharedVolume])[];
  readonly #makesParents: boolean;
  #bytes = 0;

  constructor(layers: FileLayers = {}) {
    this.#mounted = layers.mounted ?? new Map();
    this.#image = layers.image ?? new Map();
    this.#makesParents = layers.makesParents === true;
    // Of nested mounts the deepest holds a path.
    this.#volumes = [...(layers.volumes ?? [])]
      .map(([path, volume]) => [posix.resolve('/', path), volume] as const)
      .sort(([a], [b]) => b.length - a.length);
    for (const path of [...this.#mounted.keys(), ...this.#image.keys()])
      this.makeDirectory(posix.dirname(path));
    for (const [path] of this.#volumes) this.makeDirectory(path);
  }

  read(path: string): Buffer | undefined {
    if (path === '/dev/null') return Buffer.alloc(0);
    const volume = this.#volumeOf(path);
    if (volume) return volume.files.get(volume.path);
    const own = this.#own.get(path);
    if (own) return own;
    const text = this.#mounted.get(path) ?? this.#image.get(path);
    return text === undefined ? undefined : Buffer.from(text);
  }

  /** Throws FileProblem. */
  write(path: string, content: Uint8Array, append = false): void {
    if (path === '/dev/null') return;
    if (this.isDirectory(path)) throw new FileProblem('Is a directory');
    const parent = posix.dirname(path);
    if (!this.isDirectory(parent)) {
      if (!this.#makesParents || this.exists(parent)) throw new FileProblem('No such file or directory');
      this.makeDirectory(parent);
    }
    const before = this.read(path);
    const next = append && before ? Buffer.concat([before, content]) : Buffer.from(content);
    const volume = this.#volumeOf(path);
    const files = volume?.files ?? this.#own;
    const key = volume?.path ?? path;
    const bytes = this.#bytes - (files.get(key)?.length ?? 0) + next.length;
    if (bytes > MAX_BYTES || (!files.has(key) && files.size >= MAX_FILES))
      throw new FileProblem('No space left on device');
    this.#bytes = Math.max(0, bytes);
    files.set(key, next);
  }

  isDirectory(path: string): boolean {
    if (this.#directories.has(path)) return true;
    const volume = this.#volumeOf(path);
    if (!volume) return false;
    for (const name of volume.files.keys()) if (name.startsWith(`${volume.path}/`)) return true;
    return false;
  }

  exists(path: string): boolean {
    return path === '/dev/null' || this.isDirectory(path) || this.read(path) !== undefined;
  }

  makeDirectory(path: string): void {
    for (let at = path; !this.#directories.has(at); at = posix.dirname(at)) this.#directories.add(at);
  }

  /** Removes a file, or a directory with all below it. False when there is none, or it is read-only. */
  remove(path: string): boolean {
    const isDirectory = this.isDirectory(path);
    let removed = this.#removeFile(path);
    if (!isDirectory) return removed;
    const below = (name: string): boolean => name.startsWith(`${path}/`);
    for (const name of this.#ownPaths()) if (below(name)) removed = this.#removeFile(name) || removed;
    for (const name of [...this.#directories]) {
      if (name === path || below(name)) removed = this.#directories.delete(name) || removed;
    }
    return removed;
  }

  /** Names directly below a directory, sorted. */
  list(path: string): string[] {
    const prefix = path === '/' ? '/' : `${path}/`;
    const names = new Set<string>();
    const all = [this.#ownPaths(), this.#mounted.keys(), this.#image.keys(), this.#directories];
    for (const paths of all) {
      for (const name of paths) {
        if (name.startsWith(prefix) && name.length > prefix.length)
          names.add(name.slice(prefix.length).split('/')[0]!);
      }
    }
    return [...names].sort();
  }

  /** Files carry no times of their own. */
  modifiedMs(_path: string): number {
    return 0;
  }

  #volumeOf(path: string): { files: SharedVolume; path: string } | undefined {
    for (const [mount, files] of this.#volumes) {
      if (path.startsWith(`${mount}/`)) return { files, path: path.slice(mount.length + 1) };
    }
    return undefined;
  }

  #removeFile(path: string): boolean {
    const volume = this.#volumeOf(path);
    const files = volume?.files ?? this.#own;
    const key = volume?.path ?? path;
    this.#bytes = Math.max(0, this.#bytes - (files.get(key)?.length ?? 0));
    return files.delete(key);
  }

  #ownPaths(): string[] {
    const paths = [...this.#own.keys()];
    for (const [mount, files] of this.#volumes)
      for (const name of files.keys()) paths.push(`${mount}/${name}`);
    return paths;
  }
}

const DIRECTORIES =
  '/ /bin /dev /etc /home /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /usr/bin /usr/local /usr/local/bin /usr/share /usr/share/nginx /usr/share/nginx/html /var /var/lib /var/log /var/run /var/tmp'.split(
    ' ',
  );

const MAX_BYTES = 16 * 2 ** 20;
const MAX_FILES = 4_096;
