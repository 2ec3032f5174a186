import { type FieldError, invalidField, notSupportedField, tooLongField } from '@podwire/kube/field-error';
import { isJsonObject } from '@podwire/kube/object';
import type { FieldValidation } from '@podwire/kube/schema-decode';
import { invalid } from '@podwire/kube/status';
import type { DeleteOptions } from '../api.ts';
import type { Exchange } from './exchange.ts';
import { flag, integer } from './list-options.ts';

/** metav1.CreateOptions, UpdateOptions and PatchOptions as a query string carries them. */
export interface RequestOptions {
  dryRun: boolean;
  fieldManager: string;
  fieldValidation: FieldValidation;
}

const VALIDATIONS: readonly string[] = ['Ignore', 'Warn', 'Strict'];
const MANAGER_MAX_LENGTH = 128;

/** `kind` names the options in error texts: CreateOptions. Throws 422. */
export function parseRequestOptions(exchange: Exchange, kind: string): RequestOptions {
  const query = exchange.url.searchParams;
  const errors: FieldError[] = [];
  const dryRun = query.getAll('dryRun').filter((each) => each !== '');
  const bad = dryRun.find((each) => each !== 'All');
  if (bad !== undefined) errors.push(notSupportedField('dryRun', dryRun, ['All']));
  const fieldManager = query.get('fieldManager') ?? '';
  if (fieldManager.length > MANAGER_MAX_LENGTH) errors.push(tooLongField('fieldManager', MANAGER_MAX_LENGTH));
  if (/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(fieldManager)) {
    errors.push(invalidField('fieldManager', fieldManager, 'should only contain printable characters'));
  }
  const fieldValidation = query.get('fieldValidation') || 'Warn';
  if (!VALIDATIONS.includes(fieldValidation)) {
    errors.push(notSupportedField('fieldValidation', fieldValidation, VALIDATIONS));
  }
  if (errors.length > 0) throw invalid(`${kind}.meta.k8s.io`, '', errors);
  return {
    dryRun: dryRun.length > 0,
    fieldManager: fieldManager || managerOfUserAgent(exchange.request.headers['user-agent'] ?? ''),
    fieldValidation: fieldValidation as FieldValidation,
  };
}

/** A client that does not name itself is known by the first part of its User-Agent. */
function managerOfUserAgent(userAgent: string): string {
  return (userAgent.split('/')[0] ?? '').slice(0, MANAGER_MAX_LENGTH) || 'unknown';
}

const POLICIES: readonly string[] = ['Foreground', 'Background', 'Orphan'];

/** DELETE's options come in its body or, without one, in the query. Throws 422. */
export function parseDeleteOptions(
  query: URLSearchParams,
  body: Record<string, unknown> | undefined,
): DeleteOptions & { orphanDependents?: boolean } {
  const given: Record<string, unknown> = body ?? {
    gracePeriodSeconds: integer(query, 'gracePeriodSeconds'),
    orphanDependents: flag(query, 'orphanDependents'),
    propagationPolicy: query.get('propagationPolicy') ?? undefined,
    dryRun: query.getAll('dryRun'),
  };
  // kubectl sends some options in both places; the query's dry run must never be lost.
  const dryRun = [given.dryRun, query.getAll('dryRun')]
    .flat()
    .filter((each) => each !== undefined && each !== '');
  const { gracePeriodSeconds, orphanDependents, propagationPolicy, preconditions } = given;
  const errors: FieldError[] = [];
  if (dryRun.some((each) => each !== 'All')) errors.push(notSupportedField('dryRun', dryRun, ['All']));
  if (orphanDependents !== undefined && propagationPolicy !== undefined) {
    errors.push(
      invalidField(
        'propagationPolicy',
        propagationPolicy,
        'orphanDependents and deletionPropagation cannot be both set',
      ),
    );
  }
  if (propagationPolicy !== undefined && !POLICIES.includes(String(propagationPolicy))) {
    errors.push(notSupportedField('propagationPolicy', propagationPolicy, [...POLICIES, 'nil']));
  }
  if (errors.length > 0) throw invalid('DeleteOptions.meta.k8s.io', '', errors);
  const options: DeleteOptions & { orphanDependents?: boolean } = { dryRun: dryRun.length > 0 };
  if (typeof gracePeriodSeconds === 'number') options.gracePeriodSeconds = gracePeriodSeconds;
  if (typeof orphanDependents === 'boolean') {
    options.orphanDependents = orphanDependents;
    options.propagationPolicy = orphanDependents ? 'Orphan' : 'Background';
  }
  if (typeof propagationPolicy === 'string') {
    options.propagationPolicy = propagationPolicy as NonNullable<DeleteOptions['propagationPolicy']>;
  }
  if (isJsonObject(preconditions)) {
    options.preconditions = {};
    if (typeof preconditions.uid === 'string') options.preconditions.uid = preconditions.uid;
    if (typeof preconditions.resourceVersion === 'string') {
      options.preconditions.resourceVersion = preconditions.resourceVersion;
    }
  }
  return options;
}
