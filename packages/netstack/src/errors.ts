/** Errors as node:net makes them: `connect ECONNREFUSED 10.0.0.1:80` with `code`, `syscall`, `address`, `port`. */

export type NetworkErrorCode =
  | 'EADDRINUSE'
  | 'EADDRNOTAVAIL'
  | 'ECONNABORTED'
  | 'ECONNREFUSED'
  | 'ECONNRESET'
  | 'EDESTADDRREQ'
  | 'EHOSTUNREACH'
  | 'EINVAL'
  | 'EMSGSIZE'
  | 'ENETUNREACH'
  | 'EPERM'
  | 'EPIPE'
  | 'EPROTO'
  | 'ETIMEDOUT';

export interface NetworkError extends Error {
  code: NetworkErrorCode;
  syscall: string;
  address?: string;
  port?: number;
}

export function networkError(
  syscall: string,
  code: NetworkErrorCode,
  address?: string,
  port?: number,
): NetworkError {
  const where = address === undefined ? '' : ` ${address}${port === undefined ? '' : `:${port}`}`;
  const error = new Error(`${syscall} ${code}${where}`) as NetworkError;
  error.code = code;
  error.syscall = syscall;
  if (address !== undefined) error.address = address;
  if (port !== undefined) error.port = port;
  return error;
}
