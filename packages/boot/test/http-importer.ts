export * from 'node:http';
