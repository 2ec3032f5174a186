import '@podwire/boot/fast-imports';

// Imported at run time, that is after fast-imports has taken effect.
const { run } = await import('./process.ts');
run();
