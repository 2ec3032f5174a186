import { enableCompileCache } from 'node:module';

// Before the other imports, so that their compiled code comes from the cache.
enableCompileCache();
const { run } = await import('./process.ts');
run();
