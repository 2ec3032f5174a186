import { type FieldError, fieldErrorBody, formatFieldError } from './field-error.ts';
import type { ListMeta } from './object.ts';

/**
 * metav1.Status and the errors of the API server, with its reasons, codes and messages
 * (apimachinery `pkg/api/errors/errors.go`). Everything that can go wrong with a request is thrown as an ApiError and
 * turned into a response at one place.
 *
 * `resource` arguments are resource ids as `resourceId()` makes them: `pods`, `deployments.apps`.
 */
export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: ListMeta;
  status: 'Success' | 'Failure';
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code: number;
}

export class ApiError extends Error {
  readonly status: Status;

  constructor(status: Status) {
    super(status.message ?? status.reason ?? `code ${status.code}`);
    this.name = 'ApiError';
    this.status = status;
  }

  get code(): number {
    return this.status.code;
  }

  get reason(): string {
    return this.status.reason ?? '';
  }
}

function failure(code: number, reason: string, message: string, details?: StatusDetails): ApiError {
  return new ApiError({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(details ? { details } : {}),
    code,
  });
}

/** Details naming one object; empty parts are left out, as the API server leaves them out. */
function detailsOf(qualified: string, name: string, more: StatusDetails = {}): StatusDetails {
  const dot = qualified.indexOf('.');
  const kind = dot < 0 ? qualified : qualified.slice(0, dot);
  const group = dot < 0 ? '' : qualified.slice(dot + 1);
  return { ...(name ? { name } : {}), ...(group ? { group } : {}), ...(kind ? { kind } : {}), ...more };
}

/** The answer to a DELETE that removed the object at once. */
export function deletedStatus(resource: string, name: string, uid: string): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: detailsOf(resource, name, uid ? { uid } : {}),
    code: 200,
  };
}

export function notFound(resource: string, name: string): ApiError {
  return failure(404, 'NotFound', `${resource} ${JSON.stringify(name)} not found`, detailsOf(resource, name));
}

/** The path names nothing the server knows. */
export function unknownPath(): ApiError {
  return failure(404, 'NotFound', 'the server could not find the requested resource', {});
}

export function alreadyExists(resource: string, name: string): ApiError {
  const message = `${resource} ${JSON.stringify(name)} already exists`;
  return failure(409, 'AlreadyExists', message, detailsOf(resource, name));
}

export function generateNameConflict(resource: string, name: string): ApiError {
  const message = `${resource} ${JSON.stringify(name)} already exists, the server was not able to generate a unique name for the object`;
  return failure(409, 'AlreadyExists', message, detailsOf(resource, name, { retryAfterSeconds: 1 }));
}

export const MODIFIED_MESSAGE =
  'the object has been modified; please apply your changes to the latest version and try again';

export function conflict(resource: string, name: string, why: string = MODIFIED_MESSAGE): ApiError {
  const message = `Operation cannot be fulfilled on ${resource} ${JSON.stringify(name)}: ${why}`;
  return failure(409, 'Conflict', message, detailsOf(resource, name));
}

/** Server-side apply met fields other managers own; causes have reason FieldManagerConflict. */
export function applyConflict(causes: StatusCause[], message: string): ApiError {
  return failure(409, 'Conflict', message, { causes });
}

/** `kind` is qualified: `Pod`, `Deployment.apps`, or anything with a group and a kind. */
export function invalid(
  kind: string | { group: string; kind: string },
  name: string,
  errors: readonly FieldError[],
): ApiError {
  const qualified =
    typeof kind === 'string' ? kind : kind.group === '' ? kind.kind : `${kind.kind}.${kind.group}`;
  const causes = errors.map((error) => ({
    reason: error.type,
    message: fieldErrorBody(error),
    field: error.field,
  }));
  const texts = [...new Set(errors.map(formatFieldError))];
  const list = texts.length === 0 ? '' : texts.length === 1 ? `: ${texts[0]}` : `: [${texts.join(', ')}]`;
  return failure(
    422,
    'Invalid',
    `${qualified} ${JSON.stringify(name)} is invalid${list}`,
    detailsOf(qualified, name, causes.length > 0 ? { causes } : {}),
  );
}

/** A patch that does not fit the object it is for. */
export function unprocessable(why: string): ApiError {
  const message = `the server rejected our request due to an error in our request: ${why}`;
  return failure(422, 'Invalid', message, {});
}

export function badRequest(message: string): ApiError {
  return failure(400, 'BadRequest', message);
}

/** A resourceVersion or continue token older than the kept history; clients list again. */
export function expired(message: string): ApiError {
  return failure(410, 'Expired', message);
}

export function gone(message: string): ApiError {
  return failure(410, 'Gone', message);
}

/** With an empty name the resource as a whole is forbidden; with an empty resource the request is. */
export function forbidden(resource: string, name: string, why: string): ApiError {
  let message = `${resource} ${JSON.stringify(name)} is forbidden: ${why}`;
  if (resource === '') message = `forbidden: ${why}`;
  else if (name === '') message = `${resource} is forbidden: ${why}`;
  return failure(403, 'Forbidden', message, detailsOf(resource, name));
}

export function unauthorized(message = 'Unauthorized'): ApiError {
  return failure(401, 'Unauthorized', message);
}

/** `action` is a verb of the API: `create`, `delete`, `list`. */
export function methodNotAllowed(resource: string, action: string): ApiError {
  const message = `${action} is not supported on resources of kind ${JSON.stringify(resource)}`;
  return failure(405, 'MethodNotAllowed', message, detailsOf(resource, ''));
}

/** The path exists but not with this HTTP method. */
export function methodNotAllowedOnPath(): ApiError {
  const message = 'the server does not allow this method on the requested resource';
  return failure(405, 'MethodNotAllowed', message, {});
}

export function notAcceptable(accepted: readonly string[]): ApiError {
  const message = `only the following media types are accepted: ${accepted.join(', ')}`;
  return failure(406, 'NotAcceptable', message);
}

export function unsupportedMediaType(accepted: readonly string[]): ApiError {
  const message = `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`;
  return failure(415, 'UnsupportedMediaType', message);
}

export function requestEntityTooLarge(message: string): ApiError {
  return failure(413, 'RequestEntityTooLarge', `Request entity too large: ${message}`);
}

/** The eviction that a PodDisruptionBudget forbids answers this with a DisruptionBudget cause. */
export function tooManyRequests(
  message: string,
  retryAfterSeconds: number,
  causes?: StatusCause[],
): ApiError {
  return failure(429, 'TooManyRequests', message, {
    ...(causes ? { causes } : {}),
    ...(retryAfterSeconds > 0 ? { retryAfterSeconds } : {}),
  });
}

export function internalError(message: string): ApiError {
  return failure(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] });
}

export function serverTimeout(resource: string, operation: string, retryAfterSeconds: number): ApiError {
  const message = `The ${operation} operation against ${resource} could not be completed at this time, please try again.`;
  const more = retryAfterSeconds > 0 ? { retryAfterSeconds } : {};
  return failure(500, 'ServerTimeout', message, detailsOf(resource, operation, more));
}

export function timeout(message: string, retryAfterSeconds = 0): ApiError {
  const details = retryAfterSeconds > 0 ? { retryAfterSeconds } : {};
  return failure(504, 'Timeout', `Timeout: ${message}`, details);
}

export function serviceUnavailable(message: string): ApiError {
  return failure(503, 'ServiceUnavailable', message);
}

/** Any thrown value as an ApiError; what is not one is a fault of the server's own. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  return internalError(thrown instanceof Error ? thrown.message : String(thrown));
}
