import type { AdmissionPlugin } from '../registry/admission.ts';
import type { Job } from './objects.ts';

/**
 * Gives a new Job the selector by which its pods are told from those of other Jobs, and its pods' template the labels that go with
 * it. Source: pkg/registry/batch/job/strategy.go, generateSelector.
 */
export const jobSelector: AdmissionPlugin = {
  name: 'JobSelector',
  resources: ['jobs.batch'],
  mutate({ operation, subresource, object }) {
    if (operation !== 'CREATE' || subresource !== '') return undefined;
    const { metadata, spec } = object as unknown as Job;
    if (spec?.template === undefined || spec.manualSelector) return undefined;
    const { name, uid } = metadata;
    const labels = {
      'batch.kubernetes.io/controller-uid': uid,
      'batch.kubernetes.io/job-name': name,
      'controller-uid': uid,
      'job-name': name,
    };
    const template = (spec.template.metadata ??= {});
    template.labels = { ...template.labels, ...labels };
    const matchLabels = { 'batch.kubernetes.io/controller-uid': uid };
    spec.selector = { ...spec.selector, matchLabels: { ...spec.selector?.matchLabels, ...matchLabels } };
    return undefined;
  },
};
