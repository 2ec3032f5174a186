import { asObjects, fillAbsent, fillObject, fillText, type JsonObject } from '../json-fields.ts';
import { defaultTemplate } from './pod.ts';
import { defaultPersistentVolumeClaim } from './storage.ts';

/** Source of this file: pkg/apis/apps/v1/defaults.go. */
export function defaultDeployment(deployment: JsonObject): void {
  const spec = fillObject(deployment, 'spec');
  if (spec === undefined) return;
  defaultTemplate(spec);
  fillAbsent(spec, 'replicas', 1);
  const strategy = fillObject(spec, 'strategy');
  if (strategy !== undefined) {
    fillText(strategy, 'type', 'RollingUpdate');
    const rollingUpdate =
      strategy.type === 'RollingUpdate' ? fillObject(strategy, 'rollingUpdate') : undefined;
    if (rollingUpdate !== undefined) {
      fillAbsent(rollingUpdate, 'maxUnavailable', '25%');
      fillAbsent(rollingUpdate, 'maxSurge', '25%');
    }
  }
  fillAbsent(spec, 'revisionHistoryLimit', 10);
  fillAbsent(spec, 'progressDeadlineSeconds', 600);
}

export function defaultReplicaSet(replicaSet: JsonObject): void {
  const spec = fillObject(replicaSet, 'spec');
  if (spec === undefined) return;
  defaultTemplate(spec);
  fillAbsent(spec, 'replicas', 1);
}

export function defaultDaemonSet(daemonSet: JsonObject): void {
  const spec = fillObject(daemonSet, 'spec');
  if (spec === undefined) return;
  defaultTemplate(spec);
  const strategy = fillObject(spec, 'updateStrategy');
  if (strategy !== undefined) {
    fillText(strategy, 'type', 'RollingUpdate');
    const rollingUpdate =
      strategy.type === 'RollingUpdate' ? fillObject(strategy, 'rollingUpdate') : undefined;
    if (rollingUpdate !== undefined) {
      fillAbsent(rollingUpdate, 'maxUnavailable', 1);
      fillAbsent(rollingUpdate, 'maxSurge', 0);
    }
  }
  fillAbsent(spec, 'revisionHistoryLimit', 10);
}

export function defaultStatefulSet(statefulSet: JsonObject): void {
  const spec = fillObject(statefulSet, 'spec');
  if (spec === undefined) return;
  defaultTemplate(spec);
  fillText(spec, 'podManagementPolicy', 'OrderedReady');
  const strategy = fillObject(spec, 'updateStrategy');
  if (strategy !== undefined) {
    if (strategy.type === undefined || strategy.type === null || strategy.type === '') {
      strategy.type = 'RollingUpdate';
      fillObject(strategy, 'rollingUpdate');
    }
    if (strategy.type === 'RollingUpdate' && strategy.rollingUpdate !== undefined) {
      const rollingUpdate = fillObject(strategy, 'rollingUpdate');
      if (rollingUpdate !== undefined) fillAbsent(rollingUpdate, 'partition', 0);
    }
  }
  const retention = fillObject(spec, 'persistentVolumeClaimRetentionPolicy');
  if (retention !== undefined) {
    fillText(retention, 'whenDeleted', 'Retain');
    fillText(retention, 'whenScaled', 'Retain');
  }
  fillAbsent(spec, 'replicas', 1);
  fillAbsent(spec, 'revisionHistoryLimit', 10);
  for (const claim of asObjects(spec.volumeClaimTemplates)) {
    fillText(claim, 'apiVersion', 'v1');
    fillText(claim, 'kind', 'PersistentVolumeClaim');
    defaultPersistentVolumeClaim(claim);
  }
}
