import '@podwire/boot/fast-imports';
import { keepCompiledCode } from '@podwire/boot/compile-cache';

// Imported at run time, that is after fast-imports has taken effect.
const { run } = await import('./process.ts');
run();
keepCompiledCode();
