import { posix } from 'node:path';

/**
 * A container's files: what its image has, what is mounted, read through so that updates show, and what its commands
 * write. Held in memory, bounded, gone with the container.
 */
export class Files {
  readonly #files = new Map<string, Buffer>();
  readonly #directories = new Set(DIRECTORIES);
  readonly #mounted: ReadonlyMap<string, string>;
  readonly #image: ReadonlyMap<string, string>;
  #bytes = 0;

  constructor(
    initial: Iterable<readonly [string, string | Uint8Array]> = [],
    mounted: ReadonlyMap<string, string> = new Map(),
    image: ReadonlyMap<string, string> = new Map(),
  ) {
    this.#mounted = mounted;
    this.#image = image;
    for (const path of image.keys()) this.makeDirectory(posix.dirname(path));
    for (const path of mounted.keys()) this.makeDirectory(posix.dirname(path));
    for (const [path, content] of initial) {
      this.makeDirectory(posix.dirname(path));
      this.write(path, Buffer.from(content as Uint8Array));
    }
  }

  read(path: string): Buffer | undefined {
    if (path === '/dev/null') return Buffer.alloc(0);
    const own = this.#files.get(path);
    if (own) return own;
    const mounted = this.#mounted.get(path) ?? this.#image.get(path);
    return mounted === undefined ? undefined : Buffer.from(mounted);
  }

  /** Throws an Error whose message is errno's text. */
  write(path: string, content: Uint8Array, append = false): void {
    if (path === '/dev/null') return;
    if (this.#directories.has(path)) throw new Error('Is a directory');
    const before = this.#files.get(path) ?? (append ? this.read(path) : undefined);
    const next = append && before ? Buffer.concat([before, content]) : Buffer.from(content);
    const bytes = this.#bytes - (this.#files.get(path)?.length ?? 0) + next.length;
    if (bytes > MAX_BYTES || (!before && this.#files.size >= MAX_FILES))
      throw new Error('No space left on device');
    if (!this.#directories.has(posix.dirname(path))) throw new Error('No such file or directory');
    this.#bytes = bytes;
    this.#files.set(path, next);
  }

  isDirectory(path: string): boolean {
    return this.#directories.has(path);
  }

  exists(path: string): boolean {
    return (
      path === '/dev/null' ||
      this.#files.has(path) ||
      this.#mounted.has(path) ||
      this.#image.has(path) ||
      this.#directories.has(path)
    );
  }

  makeDirectory(path: string): void {
    for (let at = path; !this.#directories.has(at); at = posix.dirname(at)) this.#directories.add(at);
  }

  /** Removes a file, or a directory with all below it. False when there is none. */
  remove(path: string): boolean {
    const file = this.#files.get(path);
    if (file) {
      this.#bytes -= file.length;
      return this.#files.delete(path);
    }
    if (!this.#directories.has(path)) return false;
    for (const [name, content] of [...this.#files]) {
      if (!name.startsWith(`${path}/`)) continue;
      this.#bytes -= content.length;
      this.#files.delete(name);
    }
    for (const name of [...this.#directories]) {
      if (name === path || name.startsWith(`${path}/`)) this.#directories.delete(name);
    }
    return true;
  }

  /** Files carry no times of their own. */
  modifiedMs(_path: string): number {
    return 0;
  }

  /** Names directly below a directory, sorted. */
  list(path: string): string[] {
    const prefix = path === '/' ? '/' : `${path}/`;
    const names = new Set<string>();
    for (const name of [
      ...this.#files.keys(),
      ...this.#mounted.keys(),
      ...this.#image.keys(),
      ...this.#directories,
    ]) {
      if (name.startsWith(prefix) && name.length > prefix.length)
        names.add(name.slice(prefix.length).split('/')[0]!);
    }
    return [...names].sort();
  }
}

const DIRECTORIES =
  '/ /bin /dev /etc /home /mnt /opt /proc /root /run /sbin /srv /sys /tmp /usr /usr/bin /usr/local /usr/local/bin /usr/share /usr/share/nginx /usr/share/nginx/html /var /var/lib /var/log /var/run /var/tmp'.split(
    ' ',
  );

const MAX_BYTES = 16 * 2 ** 20;
const MAX_FILES = 4_096;
