import { forbiddenField } from '@podwire/kube/field-error';
import type { KubeObject } from '@podwire/kube/object';
import { invalid } from '@podwire/kube/status';

interface JobSpec {
  manualSelector?: boolean;
  selector?: { matchLabels?: Record<string, string> };
  template?: { metadata?: { labels?: Record<string, string> } };
}

/**
 * Makes the pods of a new Job its own, in place: labels with the job's uid and name, and a selector for the uid, unless the job
 * says it does so itself (pkg/registry/batch/job/strategy.go, generateSelector).
 */
export function generateJobSelector(job: KubeObject): void {
  const spec = job.spec as JobSpec | undefined;
  if (spec?.template === undefined || spec.manualSelector === true) return;
  const { name = '', uid = '' } = job.metadata;
  if (spec.selector !== undefined && Object.keys(spec.selector.matchLabels ?? {}).length > 0) {
    throw invalid('Job.batch', name, [forbiddenField('spec.selector', '`selector` will be auto-generated')]);
  }
  spec.template.metadata ??= {};
  const labels = (spec.template.metadata.labels ??= {});
  for (const [key, value] of [
    ['batch.kubernetes.io/controller-uid', uid],
    ['batch.kubernetes.io/job-name', name],
    ['controller-uid', uid],
    ['job-name', name],
  ] as const) {
    labels[key] = value;
  }
  spec.selector = { matchLabels: { 'batch.kubernetes.io/controller-uid': uid } };
}
