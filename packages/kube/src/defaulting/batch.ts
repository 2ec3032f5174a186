import {
  asObject,
  asObjects,
  fillAbsent,
  fillObject,
  fillText,
  isAbsent,
  isEmpty,
  type JsonObject,
} from '../json-fields.ts';
import { isJsonObject } from '../object.ts';
import { defaultTemplate } from './pod.ts';

const MAX_INT32 = 2 ** 31 - 1;

/** Source: pkg/apis/batch/v1/defaults.go. The selector needs the uid; admission generates it. */
export function defaultJob(job: JsonObject): void {
  const spec = fillObject(job, 'spec');
  if (spec === undefined) return;
  defaultTemplate(spec);
  if (isAbsent(spec.completions) && isAbsent(spec.parallelism)) spec.completions = 1;
  fillAbsent(spec, 'parallelism', 1);
  fillAbsent(spec, 'backoffLimit', isAbsent(spec.backoffLimitPerIndex) ? 6 : MAX_INT32);
  const { labels } = asObject(asObject(spec.template).metadata);
  const metadata = fillObject(job, 'metadata');
  if (metadata !== undefined && isJsonObject(labels) && isEmpty(metadata.labels))
    metadata.labels = { ...labels };
  fillAbsent(spec, 'completionMode', 'NonIndexed');
  fillAbsent(spec, 'suspend', false);
  fillAbsent(
    spec,
    'podReplacementPolicy',
    isAbsent(spec.podFailurePolicy) ? 'TerminatingOrFailed' : 'Failed',
  );
  fillAbsent(spec, 'manualSelector', false);
  defaultFailurePolicy(spec);
}

export function defaultCronJob(cronJob: JsonObject): void {
  const spec = fillObject(cronJob, 'spec');
  if (spec === undefined) return;
  fillText(spec, 'concurrencyPolicy', 'Allow');
  fillAbsent(spec, 'suspend', false);
  fillAbsent(spec, 'successfulJobsHistoryLimit', 3);
  fillAbsent(spec, 'failedJobsHistoryLimit', 1);
  const template = fillObject(spec, 'jobTemplate');
  if (template === undefined) return;
  fillObject(template, 'metadata');
  const jobSpec = fillObject(template, 'spec');
  if (jobSpec === undefined) return;
  defaultTemplate(jobSpec);
  defaultFailurePolicy(jobSpec);
}

function defaultFailurePolicy(spec: JsonObject): void {
  for (const rule of asObjects(asObject(spec.podFailurePolicy).rules)) {
    for (const pattern of asObjects(rule.onPodConditions)) fillText(pattern, 'status', 'True');
  }
}
