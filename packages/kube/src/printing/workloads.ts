import type {
  ControllerRevision,
  DaemonSet,
  Deployment,
  ReplicaSet,
  StatefulSet,
} from 'kubernetes-types/apps/v1.d.ts';
import type { PodSpec, PodTemplate, ReplicationController } from 'kubernetes-types/core/v1.d.ts';
import type { Stored } from '../object.ts';
import { formatLabelSelector, type LabelSelectorObject } from '../selectors.ts';
import { AGE, ageOf, integer, NAME, type Printer, printer, text, wide } from './columns.ts';
import { formatLabels } from './lists.ts';

/** The kinds that keep pods running. */

/** The columns that name a template's containers. */
export const CONTAINER_COLUMNS = wide(
  text('Containers', 'Names of each container in the template.'),
  text('Images', 'Images referenced by each container in the template.'),
);
const SELECTOR_COLUMN = wide(text('Selector'));

export function containerCells(template: { spec?: Pick<PodSpec, 'containers'> } | undefined): string[] {
  const containers = template?.spec?.containers ?? [];
  return [containers.map(({ name }) => name).join(','), containers.map(({ image }) => image ?? '').join(',')];
}

export function selectorCell(selector: LabelSelectorObject | undefined): string {
  return formatLabelSelector(selector) || '<none>';
}

export const deployments: Printer = printer<Stored<Deployment>>(
  [
    NAME,
    text('Ready', 'Number of the pod with ready state'),
    integer('Up-to-date'),
    integer('Available'),
    AGE,
    ...CONTAINER_COLUMNS,
    ...SELECTOR_COLUMN,
  ],
  (deployment, nowMs) => {
    const { spec, status } = deployment;
    return [
      deployment.metadata.name,
      `${status?.readyReplicas ?? 0}/${spec?.replicas ?? 1}`,
      status?.updatedReplicas ?? 0,
      status?.availableReplicas ?? 0,
      ageOf(deployment, nowMs),
      ...containerCells(spec?.template),
      selectorCell(spec?.selector),
    ];
  },
);

const REPLICA_COLUMNS = [
  NAME,
  integer('Desired'),
  integer('Current'),
  integer('Ready'),
  AGE,
  ...CONTAINER_COLUMNS,
  ...SELECTOR_COLUMN,
];

export const replicaSets: Printer = printer<Stored<ReplicaSet>>(REPLICA_COLUMNS, (set, nowMs) => [
  ...replicaCells(set, nowMs),
  selectorCell(set.spec?.selector),
]);

export const replicationControllers: Printer = printer<Stored<ReplicationController>>(
  REPLICA_COLUMNS,
  (controller, nowMs) => [...replicaCells(controller, nowMs), formatLabels(controller.spec?.selector)],
);

function replicaCells(set: Stored<ReplicaSet> | Stored<ReplicationController>, nowMs: number): unknown[] {
  return [
    set.metadata.name,
    set.spec?.replicas ?? 1,
    set.status?.replicas ?? 0,
    set.status?.readyReplicas ?? 0,
    ageOf(set, nowMs),
    ...containerCells(set.spec?.template),
  ];
}

export const statefulSets: Printer = printer<Stored<StatefulSet>>(
  [NAME, text('Ready', 'Number of the pod with ready state'), AGE, ...CONTAINER_COLUMNS],
  (set, nowMs) => [
    set.metadata.name,
    `${set.status?.readyReplicas ?? 0}/${set.spec?.replicas ?? 1}`,
    ageOf(set, nowMs),
    ...containerCells(set.spec?.template),
  ],
);

export const daemonSets: Printer = printer<Stored<DaemonSet>>(
  [
    NAME,
    integer('Desired'),
    integer('Current'),
    integer('Ready'),
    integer('Up-to-date'),
    integer('Available'),
    text('Node Selector'),
    AGE,
    ...CONTAINER_COLUMNS,
    ...SELECTOR_COLUMN,
  ],
  (set, nowMs) => {
    const { spec, status } = set;
    return [
      set.metadata.name,
      status?.desiredNumberScheduled ?? 0,
      status?.currentNumberScheduled ?? 0,
      status?.numberReady ?? 0,
      status?.updatedNumberScheduled ?? 0,
      status?.numberAvailable ?? 0,
      formatLabels(spec?.template?.spec?.nodeSelector),
      ageOf(set, nowMs),
      ...containerCells(spec?.template),
      selectorCell(spec?.selector),
    ];
  },
);

export const controllerRevisions: Printer = printer<Stored<ControllerRevision>>(
  [NAME, text('Controller', 'Controller of the object'), text('Revision'), AGE],
  (revision, nowMs) => {
    const owner = revision.metadata.ownerReferences?.find(({ controller }) => controller);
    let controller = '<none>';
    if (owner !== undefined) {
      const [group, version] = owner.apiVersion.split('/');
      const kind = version === undefined ? owner.kind : `${owner.kind}.${group}`;
      controller = `${kind.toLowerCase()}/${owner.name}`;
    }
    return [revision.metadata.name, controller, revision.revision, ageOf(revision, nowMs)];
  },
);

export const podTemplates: Printer = printer<Stored<PodTemplate>>(
  [NAME, text('Containers'), text('Images'), text('Pod Labels')],
  ({ metadata, template }) => [
    metadata.name,
    ...containerCells(template),
    formatLabels(template?.metadata?.labels as Record<string, string> | undefined),
  ],
);
