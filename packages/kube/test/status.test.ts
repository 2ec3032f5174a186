import { expect, test } from 'vitest';
import {
  childPath,
  duplicateField,
  forbiddenField,
  formatFieldError,
  internalField,
  invalidField,
  keyPath,
  notFoundField,
  notSupportedField,
  requiredField,
  tooLongField,
  tooManyField,
} from '../src/field-error.ts';
import {
  ApiError,
  alreadyExists,
  applyConflict,
  badRequest,
  conflict,
  deletedStatus,
  expired,
  forbidden,
  generateNameConflict,
  internalError,
  invalid,
  methodNotAllowed,
  notFound,
  serverTimeout,
  toApiError,
  tooManyRequests,
  unauthorized,
  unsupportedMediaType,
} from '../src/status.ts';

test.each<[ApiError, number, string, string, unknown]>([
  [notFound('pods', 'a'), 404, 'NotFound', 'pods "a" not found', { name: 'a', kind: 'pods' }],
  [
    notFound('deployments.apps', 'a'),
    404,
    'NotFound',
    'deployments.apps "a" not found',
    { name: 'a', group: 'apps', kind: 'deployments' },
  ],
  [
    notFound('endpointslices.discovery.k8s.io', 'a'),
    404,
    'NotFound',
    'endpointslices.discovery.k8s.io "a" not found',
    { name: 'a', group: 'discovery.k8s.io', kind: 'endpointslices' },
  ],
  [alreadyExists('pods', 'a'), 409, 'AlreadyExists', 'pods "a" already exists', { name: 'a', kind: 'pods' }],
  [
    conflict('pods', 'a'),
    409,
    'Conflict',
    'Operation cannot be fulfilled on pods "a": the object has been modified; please apply your changes to the latest version and try again',
    { name: 'a', kind: 'pods' },
  ],
  [
    generateNameConflict('pods', 'a-1'),
    409,
    'AlreadyExists',
    'pods "a-1" already exists, the server was not able to generate a unique name for the object',
    { name: 'a-1', kind: 'pods', retryAfterSeconds: 1 },
  ],
  [applyConflict([], 'x'), 409, 'Conflict', 'x', { causes: [] }],
  [badRequest('no'), 400, 'BadRequest', 'no', undefined],
  [expired('too old resource version: 1 (5)'), 410, 'Expired', 'too old resource version: 1 (5)', undefined],
  [
    forbidden('pods', 'a', 'quota'),
    403,
    'Forbidden',
    'pods "a" is forbidden: quota',
    { name: 'a', kind: 'pods' },
  ],
  [forbidden('pods', '', 'quota'), 403, 'Forbidden', 'pods is forbidden: quota', { kind: 'pods' }],
  [unauthorized(), 401, 'Unauthorized', 'Unauthorized', undefined],
  [
    methodNotAllowed('pods', 'deletecollection'),
    405,
    'MethodNotAllowed',
    'deletecollection is not supported on resources of kind "pods"',
    { kind: 'pods' },
  ],
  [
    unsupportedMediaType(['application/json', 'application/yaml']),
    415,
    'UnsupportedMediaType',
    'the body of the request was in an unknown format - accepted media types include: application/json, application/yaml',
    undefined,
  ],
  [
    internalError('boom'),
    500,
    'InternalError',
    'Internal error occurred: boom',
    { causes: [{ message: 'boom' }] },
  ],
  [
    serverTimeout('pods', 'list', 2),
    500,
    'ServerTimeout',
    'The list operation against pods could not be completed at this time, please try again.',
    { name: 'list', kind: 'pods', retryAfterSeconds: 2 },
  ],
  [
    tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 10, [
      { reason: 'DisruptionBudget', message: 'budget' },
    ]),
    429,
    'TooManyRequests',
    "Cannot evict pod as it would violate the pod's disruption budget.",
    { causes: [{ reason: 'DisruptionBudget', message: 'budget' }], retryAfterSeconds: 10 },
  ],
])('%s', (error, code, reason, message, details) => {
  expect(error).toBeInstanceOf(ApiError);
  expect(error.message).toBe(message);
  expect(error.status).toEqual({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message,
    reason,
    ...(details === undefined ? {} : { details }),
    code,
  });
});

test('invalid lists its causes, and each text once', () => {
  const port = invalidField('spec.ports[0].port', 70000, 'must be between 1 and 65535, inclusive');
  const one = invalid('Service', 'web', [port]);
  expect(one.message).toBe(
    'Service "web" is invalid: spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive',
  );
  expect(one.status.details).toEqual({
    name: 'web',
    kind: 'Service',
    causes: [
      {
        reason: 'FieldValueInvalid',
        message: 'Invalid value: 70000: must be between 1 and 65535, inclusive',
        field: 'spec.ports[0].port',
      },
    ],
  });
  const two = invalid({ group: 'apps', kind: 'Deployment' }, 'web', [
    requiredField('a'),
    requiredField('b'),
    requiredField('a'),
  ]);
  expect(two.message).toBe('Deployment.apps "web" is invalid: [a: Required value, b: Required value]');
  expect(two.status.details).toMatchObject({ group: 'apps', kind: 'Deployment' });
  expect(two.code).toBe(422);
});

test.each([
  [invalidField('f', 'x', 'no'), 'f: Invalid value: "x": no'],
  [invalidField('f', null, 'no'), 'f: Invalid value: null: no'],
  [invalidField('f', { a: [1] }, 'no'), 'f: Invalid value: {"a":[1]}: no'],
  [requiredField('f', 'say'), 'f: Required value: say'],
  [duplicateField('f', 'x'), 'f: Duplicate value: "x"'],
  [forbiddenField('f', 'no'), 'f: Forbidden: no'],
  [notFoundField('f', 'x'), 'f: Not found: "x"'],
  [notSupportedField('f', 'x', ['TCP', 'UDP']), 'f: Unsupported value: "x": supported values: "TCP", "UDP"'],
  [tooLongField('f', 63), 'f: Too long: may not be more than 63 bytes'],
  [tooManyField('f', 3, 1), 'f: Too many: 3: must have at most 1 item'],
  [internalField('f', 'oops'), 'f: Internal error: oops'],
])('field error %#', (error, text) => {
  expect(formatFieldError(error)).toBe(text);
});

test('field paths', () => {
  expect(childPath('spec', 'ports', 0, 'port')).toBe('spec.ports[0].port');
  expect(childPath('', 'spec')).toBe('spec');
  expect(keyPath('metadata.labels', 'a/b')).toBe('metadata.labels[a/b]');
});

test('a removed object is told by a Success status; other faults become 500', () => {
  expect(deletedStatus('deployments.apps', 'a', 'u')).toMatchObject({
    status: 'Success',
    details: { name: 'a', group: 'apps', kind: 'deployments', uid: 'u' },
  });
  expect(toApiError(new Error('x')).status).toMatchObject({ code: 500, reason: 'InternalError' });
  const own = badRequest('y');
  expect(toApiError(own)).toBe(own);
});
