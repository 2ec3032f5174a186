/**
 * Validation errors that name a field, with the texts of the API server
 * (apimachinery `pkg/util/validation/field/errors.go`).
 */
export type FieldErrorType =
  | 'FieldValueNotFound'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'InternalError'
  | 'FieldValueTypeInvalid';

export interface FieldError {
  readonly type: FieldErrorType;
  /** `spec.ports[0].port`; keys that are not identifiers in brackets: `metadata.labels[a/b]`. */
  readonly field: string;
  /** Shown in the text of the types that show a value; absent = shown without one. */
  readonly badValue?: unknown;
  readonly detail: string;
}

const LABEL: Record<FieldErrorType, string> = {
  FieldValueNotFound: 'Not found',
  FieldValueRequired: 'Required value',
  FieldValueDuplicate: 'Duplicate value',
  FieldValueInvalid: 'Invalid value',
  FieldValueNotSupported: 'Unsupported value',
  FieldValueForbidden: 'Forbidden',
  FieldValueTooLong: 'Too long',
  FieldValueTooMany: 'Too many',
  InternalError: 'Internal error',
  FieldValueTypeInvalid: 'Invalid value',
};

const WITHOUT_VALUE: ReadonlySet<FieldErrorType> = new Set([
  'FieldValueRequired',
  'FieldValueForbidden',
  'FieldValueTooLong',
  'InternalError',
]);

/** Marks a value that must not be shown. */
const OMIT: unique symbol = Symbol('omitted value');

export function invalidField(field: string, badValue: unknown, detail: string): FieldError {
  return { type: 'FieldValueInvalid', field, badValue, detail };
}

export function requiredField(field: string, detail = ''): FieldError {
  return { type: 'FieldValueRequired', field, badValue: '', detail };
}

export function duplicateField(field: string, badValue: unknown): FieldError {
  return { type: 'FieldValueDuplicate', field, badValue, detail: '' };
}

export function forbiddenField(field: string, detail: string): FieldError {
  return { type: 'FieldValueForbidden', field, badValue: '', detail };
}

export function notFoundField(field: string, badValue: unknown): FieldError {
  return { type: 'FieldValueNotFound', field, badValue, detail: '' };
}

/** `supported` is listed in the order given. */
export function notSupportedField(
  field: string,
  badValue: unknown,
  supported: readonly string[],
): FieldError {
  const detail =
    supported.length > 0 ? `supported values: ${supported.map((v) => JSON.stringify(v)).join(', ')}` : '';
  return { type: 'FieldValueNotSupported', field, badValue, detail };
}

export function tooLongField(field: string, maxLength: number): FieldError {
  const plural = maxLength === 1 ? '' : 's';
  const detail = maxLength >= 0 ? `may not be more than ${maxLength} byte${plural}` : 'value is too long';
  return { type: 'FieldValueTooLong', field, badValue: OMIT, detail };
}

export function tooManyField(field: string, actual: number, max: number): FieldError {
  const plural = max === 1 ? '' : 's';
  const detail = max >= 0 ? `must have at most ${max} item${plural}` : 'has too many items';
  return { type: 'FieldValueTooMany', field, badValue: actual >= 0 ? actual : OMIT, detail };
}

export function typeInvalidField(field: string, badValue: unknown, detail: string): FieldError {
  return { type: 'FieldValueTypeInvalid', field, badValue, detail };
}

export function internalField(field: string, detail: string): FieldError {
  return { type: 'InternalError', field, badValue: OMIT, detail };
}

/** The text without the field name: `Invalid value: 70000: must be between 1 and 65535, inclusive`. */
export function fieldErrorBody(error: FieldError): string {
  let text = LABEL[error.type];
  if (!WITHOUT_VALUE.has(error.type) && error.badValue !== OMIT) {
    text += `: ${JSON.stringify(error.badValue) ?? 'null'}`;
  }
  return error.detail === '' ? text : `${text}: ${error.detail}`;
}

export function formatFieldError(error: FieldError): string {
  return `${error.field}: ${fieldErrorBody(error)}`;
}

/** `childPath('spec', 'ports', 0, 'port')` = `spec.ports[0].port`; a string starting with `[` is a map key. */
export function childPath(path: string, ...elements: (string | number)[]): string {
  let result = path;
  for (const element of elements) {
    if (typeof element === 'number') result += `[${element}]`;
    else if (element.startsWith('[')) result += element;
    else result += result === '' ? element : `.${element}`;
  }
  return result;
}

/** A map key below `path`: `metadata.labels[a/b]`. */
export function keyPath(path: string, key: string): string {
  return `${path}[${key}]`;
}
