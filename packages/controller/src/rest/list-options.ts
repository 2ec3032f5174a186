import { type FieldError, forbiddenField, invalidField, notSupportedField } from '@podwire/kube/field-error';
import type { KubeObject } from '@podwire/kube/object';
import {
  type FieldRequirements,
  type LabelRequirements,
  matchesFieldSelector,
  matchesRequirements,
  parseFieldSelector,
  parseLabelSelector,
  SelectorError,
  unsupportedField,
} from '@podwire/kube/selectors';
import { badRequest, invalid } from '@podwire/kube/status';
import type { ResourceType } from '../registry/resource-types.ts';

/** metav1.ListOptions as a query string carries them. */
export interface ListOptions {
  watch: boolean;
  /** 0 = no limit. */
  limit: number;
  continue: string;
  resourceVersion: string;
  resourceVersionMatch: string;
  timeoutSeconds: number | undefined;
  allowWatchBookmarks: boolean;
  sendInitialEvents: boolean | undefined;
}

/** Parses and checks the options together (apimachinery pkg/apis/meta/internalversion/validation). Throws 400 and 422. */
export function parseListOptions(query: URLSearchParams): ListOptions {
  const options: ListOptions = {
    watch: flag(query, 'watch') ?? false,
    limit: Math.max(0, integer(query, 'limit') ?? 0),
    continue: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
    timeoutSeconds: integer(query, 'timeoutSeconds'),
    allowWatchBookmarks: flag(query, 'allowWatchBookmarks') ?? false,
    sendInitialEvents: flag(query, 'sendInitialEvents'),
  };
  const errors = listOptionErrors(options);
  if (errors.length > 0) throw invalid('ListOptions.meta.k8s.io', '', errors);
  return options;
}

const MATCHES: readonly string[] = ['Exact', 'NotOlderThan'];

function listOptionErrors(options: ListOptions): FieldError[] {
  const { watch, sendInitialEvents, resourceVersion, resourceVersionMatch: match } = options;
  const errors: FieldError[] = [];
  if (resourceVersion !== '' && !/^\d+$/.test(resourceVersion)) {
    errors.push(invalidField('resourceVersion', resourceVersion, 'must be a number'));
  }
  if (watch) {
    if (sendInitialEvents !== undefined && match !== 'NotOlderThan') {
      errors.push(
        forbiddenField(
          'resourceVersionMatch',
          'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
        ),
      );
    }
    if (match !== '' && sendInitialEvents === undefined) {
      errors.push(
        forbiddenField(
          'resourceVersionMatch',
          'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
        ),
      );
    }
    return errors;
  }
  if (sendInitialEvents !== undefined) {
    errors.push(forbiddenField('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  }
  if (match === '') return errors;
  if (resourceVersion === '') {
    errors.push(
      forbiddenField(
        'resourceVersionMatch',
        'resourceVersionMatch is forbidden unless resourceVersion is provided',
      ),
    );
  }
  if (options.continue !== '') {
    errors.push(
      forbiddenField('resourceVersionMatch', 'resourceVersionMatch is forbidden when continue is provided'),
    );
  }
  if (!MATCHES.includes(match)) errors.push(notSupportedField('resourceVersionMatch', match, MATCHES));
  if (match === 'Exact' && resourceVersion === '0') {
    errors.push(
      forbiddenField(
        'resourceVersionMatch',
        'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
      ),
    );
  }
  return errors;
}

/** Which objects a list, watch or collection delete is about. */
export interface Selection {
  readonly everything: boolean;
  matches(object: KubeObject): boolean;
}

/** Reads labelSelector and fieldSelector. Throws 400. */
export function parseSelection(type: ResourceType, query: URLSearchParams): Selection {
  let labels: LabelRequirements;
  let fields: FieldRequirements;
  try {
    labels = parseLabelSelector(query.get('labelSelector') ?? '');
    fields = parseFieldSelector(query.get('fieldSelector') ?? '');
  } catch (error) {
    if (error instanceof SelectorError) throw badRequest(error.message);
    throw error;
  }
  const unsupported = unsupportedField(type.id, fields, type.custom?.selectableFields);
  if (unsupported !== undefined) throw badRequest(unsupported);
  return {
    everything: labels.length === 0 && fields.length === 0,
    matches: (object) =>
      matchesRequirements(labels, object.metadata.labels) && matchesFieldSelector(type.id, fields, object),
  };
}

export function flag(query: URLSearchParams, name: string): boolean | undefined {
  const value = query.get(name);
  if (value === null) return undefined;
  // As Go decodes query booleans: anything but these two is true.
  return value !== 'false' && value !== '0';
}

export function integer(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null || value === '') return undefined;
  if (!/^-?\d+$/.test(value))
    throw badRequest(`unable to parse ${name} ${JSON.stringify(value)}: invalid syntax`);
  return Number(value);
}
