import { type FieldError, invalidField, requiredField } from '@podwire/kube/field-error';
import type { KubeObject } from '@podwire/kube/object';
import { ALL_VERBS, type ResourceInfo } from '@podwire/kube/resources';
import { customResourceSchema, type Schema } from '@podwire/kube/schema';
import { decodeCustom } from '@podwire/kube/schema-decode';
import type { CustomType, PrinterColumn, ResourceType } from './resource-types.ts';
import { fillDefaults } from './schema-defaults.ts';
import { schemaErrors } from './schema-validation.ts';

export const DEFINITIONS = 'customresourcedefinitions.apiextensions.k8s.io';
export const CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';

export interface Definition extends KubeObject {
  spec: {
    group: string;
    scope: string;
    names: DefinitionNames;
    versions: DefinitionVersion[];
  };
  status?: { conditions?: Condition[]; acceptedNames?: DefinitionNames; storedVersions?: string[] };
}

interface DefinitionNames {
  plural: string;
  singular?: string;
  kind: string;
  listKind?: string;
  shortNames?: string[];
  categories?: string[];
}

interface DefinitionVersion {
  name: string;
  served: boolean;
  storage: boolean;
  schema?: { openAPIV3Schema?: Record<string, unknown> };
  subresources?: {
    status?: object;
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  };
  additionalPrinterColumns?: PrinterColumn[];
  selectableFields?: { jsonPath: string }[];
}

export interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
  lastTransitionTime: string;
}

/** The resource types a CustomResourceDefinition defines, one for each version. */
export function typesOf(definition: Definition): ResourceType[] {
  const { group, names, scope, versions } = definition.spec;
  const storage = versions.find((each) => each.storage)?.name ?? versions[0]?.name ?? '';
  return versions.map((version) => {
    const subresources = Object.keys(version.subresources ?? {}).sort();
    const info: ResourceInfo = {
      group,
      version: version.name,
      kind: names.kind,
      plural: names.plural,
      singular: names.singular ?? names.kind.toLowerCase(),
      shortNames: names.shortNames ?? [],
      namespaced: scope === 'Namespaced',
      categories: names.categories ?? [],
      subresources,
      verbs: ALL_VERBS,
    };
    const id = `${names.plural}.${group}`;
    return { info, id, storeKey: id, custom: customType(definition, version, storage) };
  });
}

const ANYTHING: Schema = { 'x-kubernetes-preserve-unknown-fields': true };

function customType(definition: Definition, version: DefinitionVersion, storageVersion: string): CustomType {
  const schema = customResourceSchema(definition, version.name) ?? {};
  // Metadata has rules of its own, the same for every kind.
  const content = { ...schema, properties: { ...schema.properties, metadata: ANYTHING } };
  const { scale, status } = version.subresources ?? {};
  const { listKind, kind } = definition.spec.names;
  return {
    definition: definition.metadata.name ?? '',
    listKind: listKind ?? `${kind}List`,
    served: version.served,
    storageVersion,
    hasStatus: status !== undefined,
    ...(scale !== undefined && { scale }),
    printerColumns: version.additionalPrinterColumns ?? [],
    selectableFields: (version.selectableFields ?? []).map((each) => each.jsonPath.replace(/^\./, '')),
    schema,
    content,
    applyDefaults: (object) => fillDefaults(content, object),
    prune: (object) => decodeCustom(content, object),
    validate: (object) => schemaErrors(content, object),
  };
}

/** What is wrong with a definition (apiextensions-apiserver pkg/apis/apiextensions/validation). */
export function definitionErrors(object: KubeObject): FieldError[] {
  const { spec, metadata } = object as Definition;
  const errors: FieldError[] = [];
  const required = (value: unknown, field: string) => {
    if (value === undefined || value === '') errors.push(requiredField(field));
  };
  required(spec?.group, 'spec.group');
  required(spec?.scope, 'spec.scope');
  required(spec?.names?.plural, 'spec.names.plural');
  required(spec?.names?.singular, 'spec.names.singular');
  required(spec?.names?.kind, 'spec.names.kind');
  required(spec?.names?.listKind, 'spec.names.listKind');
  const versions = spec?.versions ?? [];
  if (versions.length === 0) errors.push(requiredField('spec.versions', 'must have at least one version'));
  if (errors.length > 0) return errors;
  const name = `${spec.names.plural}.${spec.group}`;
  if (metadata.name !== name) {
    errors.push(invalidField('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'));
  }
  if (versions.filter((each) => each.storage).length !== 1) {
    errors.push(
      invalidField(
        'spec.versions',
        versions.map((each) => each.name),
        'must have exactly one version marked as storage version',
      ),
    );
  }
  versions.forEach((version, index) => {
    const path = `spec.versions[${index}]`;
    required(version.name, `${path}.name`);
    if (version.schema?.openAPIV3Schema === undefined) {
      errors.push(requiredField(`${path}.schema.openAPIV3Schema`, 'schemas are required'));
    } else if (version.schema.openAPIV3Schema.type !== 'object') {
      errors.push(requiredField(`${path}.schema.openAPIV3Schema.type`, 'must not be empty at the root'));
    }
  });
  return errors;
}
