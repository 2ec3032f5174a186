import { type Logger, pino } from 'pino';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** JSON lines on stderr, written at once: the last line before a crash is the one that matters. */
export function createLog(level: LogLevel, node: string): Logger {
  return pino({ level, base: { process: 'agent', node } }, pino.destination({ dest: 2, sync: true }));
}
