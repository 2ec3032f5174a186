import type { HorizontalPodAutoscaler, MetricSpec, MetricStatus } from 'kubernetes-types/autoscaling/v2.d.ts';
import type { LimitRange, ResourceQuota } from 'kubernetes-types/core/v1.d.ts';
import type { PodDisruptionBudget } from 'kubernetes-types/policy/v1.d.ts';
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from 'kubernetes-types/rbac/v1.d.ts';
import type { PriorityClass } from 'kubernetes-types/scheduling/v1.d.ts';
import type { Stored } from '../object.ts';
import {
  AGE,
  ageOf,
  boolean,
  CREATED_AT,
  integer,
  NAME,
  type Printer,
  printer,
  text,
  wide,
} from './columns.ts';

/** The kinds that say who may do what, and how much of it. */

export const podDisruptionBudgets: Printer = printer<Stored<PodDisruptionBudget>>(
  [NAME, text('Min Available'), text('Max Unavailable'), integer('Allowed Disruptions'), AGE],
  (budget, nowMs) => [
    budget.metadata.name,
    `${budget.spec?.minAvailable ?? 'N/A'}`,
    `${budget.spec?.maxUnavailable ?? 'N/A'}`,
    budget.status?.disruptionsAllowed ?? 0,
    ageOf(budget, nowMs),
  ],
);

export const priorityClasses: Printer = printer<Stored<PriorityClass>>(
  [NAME, integer('Value'), boolean('Global-Default'), AGE, text('PreemptionPolicy')],
  (priorityClass, nowMs) => [
    priorityClass.metadata.name,
    priorityClass.value,
    priorityClass.globalDefault ?? false,
    ageOf(priorityClass, nowMs),
    priorityClass.preemptionPolicy ?? 'PreemptLowerPriority',
  ],
);

export const resourceQuotas: Printer = printer<Stored<ResourceQuota>>(
  [NAME, text('Request'), text('Limit'), AGE],
  (quota, nowMs) => {
    const { hard = {}, used = {} } = quota.status ?? {};
    const requests: string[] = [];
    const limits: string[] = [];
    for (const name of Object.keys(hard).sort()) {
      const list = name.startsWith('limits') ? limits : requests;
      list.push(`${name}: ${used[name] ?? 0}/${hard[name]}`);
    }
    return [quota.metadata.name, requests.join(', '), limits.join(', '), ageOf(quota, nowMs)];
  },
);

export const limitRanges: Printer = printer<Stored<LimitRange>>([NAME, CREATED_AT], createdCells);
export const roles: Printer = printer<Stored<Role>>([NAME, CREATED_AT], createdCells);
export const clusterRoles: Printer = printer<Stored<ClusterRole>>([NAME, CREATED_AT], createdCells);

function createdCells({ metadata }: Stored<Role | LimitRange>): unknown[] {
  return [metadata.name, metadata.creationTimestamp];
}

const BINDING_COLUMNS = [
  NAME,
  text('Role'),
  AGE,
  ...wide(text('Users'), text('Groups'), text('ServiceAccounts')),
];
export const roleBindings: Printer = printer<Stored<RoleBinding>>(BINDING_COLUMNS, bindingCells);
export const clusterRoleBindings: Printer = printer<Stored<ClusterRoleBinding>>(
  BINDING_COLUMNS,
  bindingCells,
);

function bindingCells(binding: Stored<RoleBinding | ClusterRoleBinding>, nowMs: number): unknown[] {
  const subjects = (kind: string) => (binding.subjects ?? []).filter((each) => each.kind === kind);
  return [
    binding.metadata.name,
    `${binding.roleRef.kind}/${binding.roleRef.name}`,
    ageOf(binding, nowMs),
    subjects('User')
      .map(({ name }) => name)
      .join(', '),
    subjects('Group')
      .map(({ name }) => name)
      .join(', '),
    subjects('ServiceAccount')
      .map(({ namespace, name }) => `${namespace ?? ''}/${name}`)
      .join(', '),
  ];
}

export const horizontalPodAutoscalers: Printer = printer<Stored<HorizontalPodAutoscaler>>(
  [NAME, text('Reference'), text('Targets'), text('MinPods'), text('MaxPods'), text('Replicas'), AGE],
  (autoscaler, nowMs) => {
    const { spec, status } = autoscaler;
    return [
      autoscaler.metadata.name,
      `${spec?.scaleTargetRef.kind}/${spec?.scaleTargetRef.name}`,
      targetsOf(spec?.metrics ?? [], status?.currentMetrics ?? []),
      `${spec?.minReplicas ?? '<unset>'}`,
      spec?.maxReplicas ?? 0,
      status?.currentReplicas ?? 0,
      ageOf(autoscaler, nowMs),
    ];
  },
);

function targetsOf(metrics: readonly MetricSpec[], current: readonly MetricStatus[]): string {
  if (metrics.length === 0) return '<none>';
  const texts = metrics.slice(0, 2).map((metric, i) => {
    if (metric.type !== 'Resource' || metric.resource === undefined) return `<unknown>/<${metric.type}>`;
    const { name, target } = metric.resource;
    const now = current[i]?.resource?.current;
    if (target.averageUtilization !== undefined) {
      const share = now?.averageUtilization === undefined ? '<unknown>' : `${now.averageUtilization}%`;
      return `${name}: ${share}/${target.averageUtilization}%`;
    }
    return `${name}: ${now?.averageValue ?? '<unknown>'}/${target.averageValue ?? '<auto>'}`;
  });
  const more = metrics.length > 2 ? ` + ${metrics.length - 2} more...` : '';
  return texts.join(', ') + more;
}
