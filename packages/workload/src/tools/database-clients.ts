import { posix } from 'node:path';
import { errnoText } from '../shell/devices.ts';
import type { Tool } from '../shell/tool.ts';
import { addressesOf, connectAny, isFailure } from './connection.ts';

/** Default port, and what an unreachable server is called. */
const CLIENTS: Record<string, { port: number; variable: string }> = {
  pg_isready: { port: 5432, variable: 'PGHOST' },
  psql: { port: 5432, variable: 'PGHOST' },
  mysqladmin: { port: 3306, variable: 'MYSQL_HOST' },
  mysql: { port: 3306, variable: 'MYSQL_HOST' },
  mongosh: { port: 27_017, variable: 'MONGO_HOST' },
  mongo: { port: 27_017, variable: 'MONGO_HOST' },
};
const CONNECT_TIMEOUT_MS = 3_000;

/**
 * The clients with which init containers and probes ask whether a database is up. They connect and say so; there is
 * no database behind a stand-in to ask more of.
 */
export const databaseClient: Tool = async (context) => {
  const { argv, env, stdout, stderr } = context;
  const name = posix.basename(argv[0]!);
  const client = CLIENTS[name]!;
  let host = env[client.variable] ?? '127.0.0.1';
  let port = Number(env[`${client.variable.replace(/_?HOST$/, '')}PORT`] ?? client.port) || client.port;
  const isMysql = name.startsWith('mysql');
  for (let i = 1; i < argv.length; i++) {
    const argument = argv[i]!;
    const match = /^(?:--(host|port)(?:=(.*))?|-([hpP])(.*))$/.exec(argument);
    if (!match) continue;
    const isPort = match[1] === 'port' || match[3] === (isMysql ? 'P' : 'p');
    const isHost = match[1] === 'host' || match[3] === 'h';
    if (!isPort && !isHost) continue;
    const value = match[2] ?? (match[4] || argv[++i]) ?? '';
    if (isPort) port = Number(value) || port;
    else host = value;
  }
  const found = await addressesOf(context, host);
  const socket = isFailure(found)
    ? found
    : await connectAny(context, found, port, { timeoutMs: CONNECT_TIMEOUT_MS });
  if (context.signal.aborted) return 130;
  if (!isFailure(socket)) {
    socket.on('error', () => {});
    socket.destroySoon();
    if (name === 'pg_isready') await stdout.write(`${host}:${port} - accepting connections\n`);
    else if (name === 'mysqladmin') await stdout.write('mysqld is alive\n');
    return 0;
  }
  const why = isFailure(found) ? 'Name or service not known' : errnoText(socket.code);
  if (name === 'pg_isready') await stdout.write(`${host}:${port} - no response\n`);
  else if (isMysql) await stderr.write(`${name}: connect to server at '${host}:${port}' failed: ${why}\n`);
  else await stderr.write(`${name}: connection to server at "${host}", port ${port} failed: ${why}\n`);
  return name === 'pg_isready' || name === 'psql' ? 2 : 1;
};
