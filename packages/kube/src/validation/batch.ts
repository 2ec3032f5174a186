import {
  invalidField,
  notSupportedField,
  requiredField,
  tooLongField,
  tooManyField,
} from '../field-error.ts';
import {
  asList,
  asNumber,
  asObject,
  asObjects,
  asText,
  isAbsent,
  isUnset,
  type JsonObject,
} from '../json-fields.ts';
import { dns1123LabelErrors, qualifiedNameErrors } from '../names.ts';
import { matchesLabelSelector } from '../selectors.ts';
import {
  addInvalid,
  byteLength,
  checkDomainPath,
  checkEnum,
  checkImmutable,
  checkNonNegative,
  checkNonNegatives,
  checkUnique,
  type Errors,
  invalidWithoutValue,
  semanticEquals,
} from './checks.ts';
import { cronScheduleError, isTimeZone } from './cron-schedule.ts';
import { checkLabelSelector, labelSelectorOf } from './metadata.ts';
import { checkPodTemplate } from './pod-spec.ts';
import { addMismatch, isParsable, selects } from './workloads.ts';

/** Jobs and CronJobs (pkg/apis/batch/validation). */

const MAX_PARALLELISM_INDEXED = 100_000;
const MAX_FAILED_INDEXES = 100_000;
const MANY_COMPLETIONS = 100_000;
const MAX_OF_MANY_COMPLETIONS = 10_000;
const MAX_CRON_NAME_LENGTH = 52;
const UID_LABEL = 'batch.kubernetes.io/controller-uid';
const NAME_LABEL = 'batch.kubernetes.io/job-name';

export function checkJob(errors: Errors, job: JsonObject): void {
  checkGeneratedSelector(errors, job, true);
  checkWholeJob(errors, job);
}

function checkWholeJob(errors: Errors, job: JsonObject): void {
  const spec = asObject(job.spec);
  checkJobSpec(errors, spec, 'spec');
  if (isAbsent(spec.selector)) errors.push(requiredField('spec.selector'));
  else checkLabelSelector(errors, spec.selector, 'spec.selector');
  if (isParsable(spec.selector) && !selects(spec)) addMismatch(errors, spec);
  const completions = asNumber(spec.completions);
  if (spec.completionMode !== 'Indexed' || completions <= 0) return;
  const name = asText(asObject(job.metadata).name);
  const hostname = `${name}-${completions - 1}`;
  if (dns1123LabelErrors(hostname).length > 0) {
    const detail = `will not able to create pod with invalid DNS label: ${hostname}`;
    errors.push(invalidField('metadata.name', name, detail));
  }
}

export function checkJobUpdate(errors: Errors, job: JsonObject, old: JsonObject): void {
  const spec = asObject(job.spec);
  const before = asObject(old.spec);
  const oldLabels = asObject(asObject(asObject(before.template).metadata).labels);
  checkGeneratedSelector(errors, job, UID_LABEL in oldLabels && NAME_LABEL in oldLabels);
  checkWholeJob(errors, job);
  checkCompletionsChange(errors, spec, before);
  checkImmutable(errors, spec.selector, before.selector, 'spec.selector');
  const mutable = before.suspend === true && isAbsent(asObject(old.status).startTime);
  const template = mutable ? withSchedulingOf(spec.template, before.template) : spec.template;
  if (!semanticEquals(template, before.template)) {
    errors.push(invalidField('spec.template', spec.template ?? null, 'field is immutable'));
  }
  for (const field of [
    'completionMode',
    'podFailurePolicy',
    'backoffLimitPerIndex',
    'managedBy',
    'successPolicy',
  ]) {
    checkImmutable(errors, spec[field], before[field], `spec.${field}`);
  }
}

export function checkJobStatus(errors: Errors, job: JsonObject): void {
  checkNonNegatives(errors, asObject(job.status), 'status', [
    'active',
    'succeeded',
    'failed',
    'ready',
    'terminating',
  ]);
}

export function checkCronJob(errors: Errors, cronJob: JsonObject): void {
  checkCronJobUpdate(errors, cronJob, undefined);
  const name = asText(asObject(cronJob.metadata).name);
  if (name.length > MAX_CRON_NAME_LENGTH) {
    // Room for the suffix that the controller gives the jobs.
    const detail = `must be no more than ${MAX_CRON_NAME_LENGTH} characters`;
    errors.push(invalidField('metadata.name', name, detail));
  }
}

export function checkCronJobUpdate(errors: Errors, cronJob: JsonObject, old: JsonObject | undefined): void {
  const spec = asObject(cronJob.spec);
  const before = asObject(old?.spec);
  const schedule = asText(spec.schedule);
  if (schedule === '') errors.push(requiredField('spec.schedule'));
  else checkSchedule(errors, schedule, asText(before.schedule).includes('TZ'), spec);
  checkNonNegative(errors, spec.startingDeadlineSeconds, 'spec.startingDeadlineSeconds');
  if (old === undefined || before.timeZone !== spec.timeZone) checkTimeZone(errors, spec.timeZone);
  checkEnum(errors, spec.concurrencyPolicy, 'spec.concurrencyPolicy', ['Allow', 'Forbid', 'Replace']);
  const jobSpec = asObject(asObject(spec.jobTemplate).spec);
  const path = 'spec.jobTemplate.spec';
  checkJobSpec(errors, jobSpec, path);
  if (!isAbsent(jobSpec.selector)) {
    errors.push(invalidField(`${path}.selector`, jobSpec.selector, '`selector` will be auto-generated'));
  }
  if (jobSpec.manualSelector === true) {
    errors.push(notSupportedField(`${path}.manualSelector`, true, ['nil', 'false']));
  }
  checkNonNegatives(errors, spec, 'spec', ['successfulJobsHistoryLimit', 'failedJobsHistoryLimit']);
}

function checkSchedule(errors: Errors, schedule: string, zoneAllowed: boolean, spec: JsonObject): void {
  const error = cronScheduleError(schedule);
  const field = 'spec.schedule';
  if (error !== undefined) errors.push(invalidField(field, schedule, error));
  if (!schedule.includes('TZ')) return;
  if (!zoneAllowed) {
    const detail = 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead';
    errors.push(invalidField(field, schedule, detail));
  } else if (!isAbsent(spec.timeZone)) {
    const detail = 'cannot use both timeZone field and TZ or CRON_TZ in schedule';
    errors.push(invalidField(field, schedule, detail));
  }
}

function checkTimeZone(errors: Errors, value: unknown): void {
  if (isAbsent(value)) return;
  const field = 'spec.timeZone';
  const zone = asText(value);
  if (zone === '') {
    errors.push(invalidField(field, zone, 'timeZone must be nil or non-empty string'));
    return;
  }
  const wellFormed = zone
    .split('/')
    .every(
      (part) =>
        /^[A-Za-z._0-9+-]{1,14}$/.test(part) && part !== '.' && part !== '..' && !part.startsWith('-'),
    );
  if (wellFormed && zone.toLowerCase() === 'local') {
    const detail = 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones';
    errors.push(invalidField(field, zone, detail));
  }
  if (!wellFormed || !isTimeZone(zone)) errors.push(invalidField(field, zone, `unknown time zone ${zone}`));
}

/** The labels and the selector by which the pods of a job are told from others, unless they are made by hand. */
function checkGeneratedSelector(errors: Errors, job: JsonObject, prefixed: boolean): void {
  const spec = asObject(job.spec);
  if (spec.manualSelector === true || isAbsent(spec.selector)) return;
  const { name, uid } = asObject(job.metadata);
  if (isUnset(uid)) errors.push(requiredField('metadata.uid'));
  const labels = asObject(asObject(asObject(spec.template).metadata).labels);
  const expected: Record<string, string> = { 'controller-uid': asText(uid), 'job-name': asText(name) };
  if (prefixed) Object.assign(expected, { [UID_LABEL]: asText(uid), [NAME_LABEL]: asText(name) });
  for (const [key, value] of Object.entries(expected)) {
    const field = `spec.template.metadata.labels[${key}]`;
    if (labels[key] === undefined) errors.push(requiredField(field, `must be '${value}'`));
    else if (labels[key] !== value) errors.push(invalidField(field, labels, `must be '${value}'`));
  }
  if (!isParsable(spec.selector) || matchesLabelSelector(labelSelectorOf(spec.selector), expected)) return;
  errors.push(invalidField('spec.selector', spec.selector, '`selector` not auto-generated'));
}

function checkCompletionsChange(errors: Errors, spec: JsonObject, before: JsonObject): void {
  const field = 'spec.completions';
  if (spec.completionMode !== 'Indexed') checkImmutable(errors, spec.completions, before.completions, field);
  else if (
    !isAbsent(spec.completions) &&
    spec.completions !== before.completions &&
    spec.completions !== spec.parallelism
  ) {
    const detail = 'can only be modified in tandem with spec.parallelism';
    errors.push(invalidField(field, spec.completions, detail));
  }
}

/** Where its pods may run is open until a suspended job starts. */
function withSchedulingOf(template: unknown, old: unknown): JsonObject {
  const { metadata, spec } = asObject(template);
  const before = asObject(old);
  const oldSpec = asObject(before.spec);
  const oldMetadata = asObject(before.metadata);
  const affinity = asObject(asObject(spec).affinity);
  return {
    ...asObject(template),
    metadata: { ...asObject(metadata), labels: oldMetadata.labels, annotations: oldMetadata.annotations },
    spec: {
      ...asObject(spec),
      affinity: { ...affinity, nodeAffinity: asObject(oldSpec.affinity).nodeAffinity },
      nodeSelector: oldSpec.nodeSelector,
      tolerations: oldSpec.tolerations,
      schedulingGates: oldSpec.schedulingGates,
    },
  };
}

function checkJobSpec(errors: Errors, spec: JsonObject, path: string): void {
  checkNonNegatives(errors, spec, path, [
    'parallelism',
    'completions',
    'activeDeadlineSeconds',
    'backoffLimit',
    'ttlSecondsAfterFinished',
    'backoffLimitPerIndex',
    'maxFailedIndexes',
  ]);
  if (!isAbsent(spec.maxFailedIndexes) && isAbsent(spec.backoffLimitPerIndex)) {
    errors.push(requiredField(`${path}.backoffLimitPerIndex`, 'when maxFailedIndexes is specified'));
  }
  if (!isAbsent(spec.managedBy)) {
    checkDomainPath(errors, asText(spec.managedBy), `${path}.managedBy`);
    if (byteLength(asText(spec.managedBy)) > 63) errors.push(tooLongField(`${path}.managedBy`, 63));
  }
  const modes = ['NonIndexed', 'Indexed'];
  if (!isAbsent(spec.completionMode) && !modes.includes(spec.completionMode as string)) {
    errors.push(notSupportedField(`${path}.completionMode`, spec.completionMode, modes));
  }
  if (spec.completionMode === 'Indexed') checkIndexed(errors, spec, path);
  else {
    for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes', 'successPolicy']) {
      if (isAbsent(spec[field])) continue;
      errors.push(invalidField(`${path}.${field}`, spec[field], 'requires indexed completion mode'));
    }
  }
  if (!isAbsent(spec.podFailurePolicy)) checkFailurePolicy(errors, spec, `${path}.podFailurePolicy`);
  if (!isAbsent(spec.podReplacementPolicy)) {
    const supported = isAbsent(spec.podFailurePolicy) ? ['Failed', 'TerminatingOrFailed'] : ['Failed'];
    if (!supported.includes(spec.podReplacementPolicy as string)) {
      errors.push(notSupportedField(`${path}.podReplacementPolicy`, spec.podReplacementPolicy, supported));
    }
  }
  checkPodTemplate(errors, asObject(spec.template), `${path}.template`);
  checkJobRestartPolicy(errors, spec, `${path}.template.spec.restartPolicy`);
}

function checkJobRestartPolicy(errors: Errors, spec: JsonObject, field: string): void {
  const policy = asText(asObject(asObject(spec.template).spec).restartPolicy);
  if (policy === 'Always' || policy === '') {
    errors.push(requiredField(field, 'valid values: "OnFailure", "Never"'));
  } else if (policy !== 'OnFailure' && policy !== 'Never') {
    errors.push(notSupportedField(field, policy, ['OnFailure', 'Never']));
  } else if (!isAbsent(spec.podFailurePolicy) && policy !== 'Never') {
    errors.push(invalidField(field, policy, 'only "Never" is supported when podFailurePolicy is specified'));
  }
}

function checkIndexed(errors: Errors, spec: JsonObject, path: string): void {
  const { completions, parallelism, maxFailedIndexes } = spec;
  const atMost = (field: string, limit: number, when: string) => {
    if (asNumber(spec[field]) <= limit) return;
    errors.push(
      invalidField(`${path}.${field}`, spec[field], `must be less than or equal to ${limit}${when}`),
    );
  };
  if (isAbsent(completions)) {
    errors.push(requiredField(`${path}.completions`, 'when completion mode is Indexed'));
  }
  atMost('parallelism', MAX_PARALLELISM_INDEXED, ' when completion mode is Indexed');
  if (!isAbsent(completions) && asNumber(maxFailedIndexes) > asNumber(completions)) {
    const detail = 'must be less than or equal to completions';
    errors.push(invalidField(`${path}.maxFailedIndexes`, maxFailedIndexes, detail));
  }
  atMost('maxFailedIndexes', MAX_FAILED_INDEXES, '');
  if (asNumber(completions) > MANY_COMPLETIONS && !isAbsent(spec.backoffLimitPerIndex)) {
    if (isAbsent(maxFailedIndexes)) {
      const detail = `must be specified when completions is above ${MANY_COMPLETIONS}`;
      errors.push(requiredField(`${path}.maxFailedIndexes`, detail));
    }
    const when = ` when completions are above ${MANY_COMPLETIONS} and used with backoff limit per index`;
    if (!isAbsent(parallelism)) atMost('parallelism', MAX_OF_MANY_COMPLETIONS, when);
    atMost('maxFailedIndexes', MAX_OF_MANY_COMPLETIONS, when);
  }
  if (isAbsent(spec.successPolicy)) return;
  const field = `${path}.successPolicy.rules`;
  const rules = asObjects(asObject(spec.successPolicy).rules);
  if (rules.length === 0) {
    const detail = 'at least one rules must be specified when the successPolicy is specified';
    errors.push(requiredField(field, detail));
  }
  if (rules.length > 20) errors.push(tooManyField(field, rules.length, 20));
  rules.forEach((rule, i) => {
    if (isAbsent(rule.succeededCount) && isAbsent(rule.succeededIndexes)) {
      const detail = 'at least one of succeededCount or succeededIndexes must be specified';
      errors.push(requiredField(`${field}[${i}]`, detail));
    }
    checkNonNegative(errors, rule.succeededCount, `${field}[${i}].succeededCount`);
    if (asNumber(rule.succeededCount) > asNumber(completions)) {
      const detail = `must be less than or equal to ${asNumber(completions)} (the number of specified completions)`;
      errors.push(invalidField(`${field}[${i}].succeededCount`, rule.succeededCount, detail));
    }
  });
}

const ACTIONS: readonly string[] = ['Count', 'FailIndex', 'FailJob', 'Ignore'];
const MAX_RULES = 20;
const MAX_EXIT_CODES = 255;

function checkFailurePolicy(errors: Errors, spec: JsonObject, path: string): void {
  const rules = asObjects(asObject(spec.podFailurePolicy).rules);
  if (rules.length > MAX_RULES) errors.push(tooManyField(`${path}.rules`, rules.length, MAX_RULES));
  const podSpec = asObject(asObject(spec.template).spec);
  const containers = new Set(
    [...asObjects(podSpec.containers), ...asObjects(podSpec.initContainers)].map((each) => asText(each.name)),
  );
  rules.forEach((rule, i) => {
    const field = `${path}.rules[${i}]`;
    const action = asText(rule.action);
    if (action === '') errors.push(requiredField(`${field}.action`, `valid values: ${quoted(ACTIONS)}`));
    else if (!ACTIONS.includes(action)) errors.push(notSupportedField(`${field}.action`, action, ACTIONS));
    else if (action === 'FailIndex' && isAbsent(spec.backoffLimitPerIndex)) {
      const detail = 'requires the backoffLimitPerIndex to be set';
      errors.push(invalidField(`${field}.action`, action, detail));
    }
    const conditions = asObjects(rule.onPodConditions);
    if (!isAbsent(rule.onExitCodes)) {
      checkExitCodes(errors, asObject(rule.onExitCodes), containers, `${field}.onExitCodes`);
    }
    checkConditions(errors, conditions, `${field}.onPodConditions`);
    if (!isAbsent(rule.onExitCodes) === conditions.length > 0) {
      const both = conditions.length > 0;
      const detail = both
        ? 'specifying both OnExitCodes and OnPodConditions is not supported'
        : 'specifying one of OnExitCodes and OnPodConditions is required';
      errors.push(invalidWithoutValue(field, detail));
    }
  });
}

/** As Go's %q shows a list. */
function quoted(values: readonly string[]): string {
  return `[${values.map((value) => JSON.stringify(value)).join(' ')}]`;
}

function checkConditions(errors: Errors, patterns: readonly JsonObject[], path: string): void {
  if (patterns.length > MAX_RULES) errors.push(tooManyField(path, patterns.length, MAX_RULES));
  const statuses = ['False', 'True', 'Unknown'];
  patterns.forEach((pattern, i) => {
    const type = asText(pattern.type);
    addInvalid(errors, `${path}[${i}].type`, type, qualifiedNameErrors(type));
    const status = asText(pattern.status);
    if (status === '')
      errors.push(requiredField(`${path}[${i}].status`, `valid values: ${quoted(statuses)}`));
    else if (!statuses.includes(status)) {
      errors.push(notSupportedField(`${path}[${i}].status`, status, statuses));
    }
  });
}

function checkExitCodes(
  errors: Errors,
  requirement: JsonObject,
  containers: ReadonlySet<string>,
  path: string,
): void {
  const operators = ['In', 'NotIn'];
  const operator = asText(requirement.operator);
  if (operator === '') errors.push(requiredField(`${path}.operator`, `valid values: ${quoted(operators)}`));
  else if (!operators.includes(operator)) {
    errors.push(notSupportedField(`${path}.operator`, operator, operators));
  }
  if (!isAbsent(requirement.containerName) && !containers.has(asText(requirement.containerName))) {
    const detail = 'must be one of the container or initContainer names in the pod template';
    errors.push(invalidField(`${path}.containerName`, requirement.containerName, detail));
  }
  const values = asList(requirement.values);
  if (values.length === 0)
    errors.push(invalidField(`${path}.values`, values, 'at least one value is required'));
  else if (values.length > MAX_EXIT_CODES) {
    errors.push(tooManyField(`${path}.values`, values.length, MAX_EXIT_CODES));
  }
  const seen = new Set<unknown>();
  values.forEach((value, i) => {
    const field = `${path}.values[${i}]`;
    if (operator === 'In' && value === 0) {
      errors.push(invalidField(field, 0, 'must not be 0 for the In operator'));
    }
    checkUnique(errors, seen, value, field);
  });
  if (values.some((value, i) => i > 0 && asNumber(values[i - 1]) > asNumber(value))) {
    errors.push(invalidField(`${path}.values`, values, 'must be ordered'));
  }
}
