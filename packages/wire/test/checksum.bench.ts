/** Speed of the Internet checksum beside the plain loop: `node packages/wire/test/checksum.bench.ts`. */
import { sumBytes } from '../src/checksum.ts';
import { crc32c } from '../src/sctp.ts';

function plainLoop(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  let i = start;
  for (; i + 1 < end; i += 2) sum += (bytes[i] << 8) | bytes[i + 1];
  if (i < end) sum += bytes[i] << 8;
  while (sum > 0xffff) sum = (sum >>> 16) + (sum & 0xffff);
  return sum;
}

function gigabytesPerSecond(work: () => number, size: number): string {
  const rounds = Math.max(1000, Math.min(300_000, Math.floor(2e8 / size)));
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 4; attempt++) {
    const start = performance.now();
    for (let i = 0; i < rounds; i++) work();
    best = Math.min(best, performance.now() - start);
  }
  return ((size * rounds) / best / 1e6).toFixed(2).padStart(6);
}

const bytes = new Uint8Array(65_600).map((_, i) => (i * 31) ^ (i >> 5));
console.log('  bytes  sumBytes  plain loop  CRC32c   (GB/s, best of 4)');
for (const size of [20, 40, 128, 512, 1460, 9000, 65_535]) {
  const columns = [sumBytes, plainLoop, crc32c].map((sum) =>
    gigabytesPerSecond(() => sum(bytes, 14, 14 + size), size),
  );
  console.log(`${String(size).padStart(7)}    ${columns.join('      ')}`);
}
