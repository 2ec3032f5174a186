import type { CustomResourceDefinition } from 'kubernetes-types/apiextensions/v1.d.ts';
import type { Lease } from 'kubernetes-types/coordination/v1.d.ts';
import type { ConfigMap, Namespace, Secret, ServiceAccount } from 'kubernetes-types/core/v1.d.ts';
import type { RuntimeClass } from 'kubernetes-types/node/v1.d.ts';
import type { Stored } from '../object.ts';
import { AGE, ageOf, CREATED_AT, NAME, type Printer, printer, text } from './columns.ts';

/** The kinds that hold settings, names and credentials. */

export const namespaces: Printer = printer<Stored<Namespace>>(
  [NAME, text('Status', 'The status of the namespace'), AGE],
  (namespace, nowMs) => [namespace.metadata.name, namespace.status?.phase ?? '', ageOf(namespace, nowMs)],
);

export const configMaps: Printer = printer<Stored<ConfigMap>>([NAME, text('Data'), AGE], (map, nowMs) => [
  map.metadata.name,
  Object.keys(map.data ?? {}).length + Object.keys(map.binaryData ?? {}).length,
  ageOf(map, nowMs),
]);

export const secrets: Printer = printer<Stored<Secret>>(
  [NAME, text('Type'), text('Data'), AGE],
  (secret, nowMs) => [
    secret.metadata.name,
    secret.type ?? 'Opaque',
    Object.keys(secret.data ?? {}).length,
    ageOf(secret, nowMs),
  ],
);

export const serviceAccounts: Printer = printer<Stored<ServiceAccount>>(
  [NAME, text('Secrets'), AGE],
  (account, nowMs) => [account.metadata.name, account.secrets?.length ?? 0, ageOf(account, nowMs)],
);

export const leases: Printer = printer<Stored<Lease>>([NAME, text('Holder'), AGE], (lease, nowMs) => [
  lease.metadata.name,
  lease.spec?.holderIdentity ?? '',
  ageOf(lease, nowMs),
]);

export const runtimeClasses: Printer = printer<Stored<RuntimeClass>>(
  [NAME, text('Handler'), AGE],
  (runtimeClass, nowMs) => [runtimeClass.metadata.name, runtimeClass.handler, ageOf(runtimeClass, nowMs)],
);

export const customResourceDefinitions: Printer = printer<Stored<CustomResourceDefinition>>(
  [NAME, CREATED_AT],
  ({ metadata }) => [metadata.name, metadata.creationTimestamp],
);
