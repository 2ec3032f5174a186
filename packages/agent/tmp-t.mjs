import { enableCompileCache } from 'node:module';
import v8 from 'node:v8';
if (process.env.VF) v8.setFlagsFromString(process.env.VF);
enableCompileCache();
await import('./src/agent.ts'); await import('./src/pods/sandbox.ts');
const c=process.cpuUsage(); console.log(process.env.VF||'-', 'cpu ms', ((c.user+c.system)/1000).toFixed(0));
