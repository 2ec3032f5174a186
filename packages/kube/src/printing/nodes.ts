import type { Node } from 'kubernetes-types/core/v1.d.ts';
import type { Stored } from '../object.ts';
import { AGE, ageOf, NAME, type Printer, printer, text, wide } from './columns.ts';
import { joined } from './lists.ts';

const ROLE_PREFIX = 'node-role.kubernetes.io/';
const ROLE_LABEL = 'kubernetes.io/role';

export const nodes: Printer = printer<Stored<Node>>(
  [
    NAME,
    text('Status', 'The status of the node'),
    text('Roles', 'The roles of the node'),
    AGE,
    text('Version', 'Kubelet Version reported by the node.'),
    ...wide(
      text('Internal-IP'),
      text('External-IP'),
      text('OS-Image'),
      text('Kernel-Version'),
      text('Container-Runtime'),
    ),
  ],
  (node, nowMs) => {
    const info = node.status?.nodeInfo;
    const address = (wanted: string) =>
      node.status?.addresses?.find(({ type }) => type === wanted)?.address ?? '<none>';
    return [
      node.metadata.name,
      statusOf(node),
      joined(rolesOf(node)),
      ageOf(node, nowMs),
      info?.kubeletVersion ?? '',
      address('InternalIP'),
      address('ExternalIP'),
      info?.osImage || '<unknown>',
      info?.kernelVersion || '<unknown>',
      info?.containerRuntimeVersion || '<unknown>',
    ];
  },
);

function statusOf({ spec, status }: Stored<Node>): string {
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  let text = 'Unknown';
  if (ready !== undefined) text = ready.status === 'True' ? 'Ready' : 'NotReady';
  return spec?.unschedulable ? `${text},SchedulingDisabled` : text;
}

function rolesOf({ metadata }: Stored<Node>): string[] {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(metadata.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX) && key.length > ROLE_PREFIX.length)
      roles.add(key.slice(ROLE_PREFIX.length));
    else if (key === ROLE_LABEL && value !== '') roles.add(value);
  }
  return [...roles].sort();
}
