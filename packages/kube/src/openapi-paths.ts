import { apiVersionOf, type ResourceInfo, resourcePath, subresourceInfo } from './resources.ts';
import { componentName, componentOfKind } from './schema.ts';

/**
 * The `paths` of an OpenAPI v3 document: operations with their parameters, content types and group-version-kinds.
 * kubectl decides by the parameters of PATCH whether the server validates fields.
 */
export interface OpenApiPath {
  [method: string]: unknown;
}

interface Parameter {
  name: string;
  in: 'query' | 'path';
  description: string;
  required?: boolean;
  schema: { type: string; uniqueItems: true };
}

function query(name: string, type: string, description: string): Parameter {
  return { name, in: 'query', description, schema: { type, uniqueItems: true } };
}

function inPath(name: string, description: string): Parameter {
  return { name, in: 'path', description, required: true, schema: { type: 'string', uniqueItems: true } };
}

const PRETTY = query('pretty', 'string', 'Ignored: output is compact JSON.');
const NAMESPACE = inPath('namespace', 'object name and auth scope, such as for teams and projects');
const DRY_RUN = query(
  'dryRun',
  'string',
  'When present, indicates that modifications should not be persisted. Valid values: All',
);
const FIELD_MANAGER = query(
  'fieldManager',
  'string',
  'Name of the actor that makes these changes, as managedFields records it; required for apply patches.',
);
const FIELD_VALIDATION = query(
  'fieldValidation',
  'string',
  'What to do with unknown or duplicate fields of the request: Ignore, Warn (the default) or Strict.',
);
const FORCE = query(
  'force',
  'boolean',
  'Take over fields of other managers on conflict. Only for apply patches.',
);
const WRITE = [DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const DELETE = [
  DRY_RUN,
  query('gracePeriodSeconds', 'integer', 'Seconds before the object is deleted; zero deletes at once.'),
  query('propagationPolicy', 'string', 'What happens to dependents: Orphan, Background or Foreground.'),
  query('orphanDependents', 'boolean', 'Deprecated: use propagationPolicy.'),
];
const SELECT = [
  query('labelSelector', 'string', 'Restricts the objects by their labels. Defaults to everything.'),
  query('fieldSelector', 'string', 'Restricts the objects by their fields. Defaults to everything.'),
];
const LIST = [
  ...SELECT,
  query('limit', 'integer', 'Largest number of objects in one answer.'),
  query('continue', 'string', 'Token of the previous answer, to go on from there.'),
  query('resourceVersion', 'string', 'Least revision the answer may show.'),
  query('resourceVersionMatch', 'string', 'How resourceVersion is applied: Exact or NotOlderThan.'),
  query('sendInitialEvents', 'boolean', 'Start a watch with events for the objects there are.'),
  query('allowWatchBookmarks', 'boolean', 'Send bookmark events on a watch.'),
  query('timeoutSeconds', 'integer', 'Longest duration of the call.'),
  query('watch', 'boolean', 'Stream changes instead of answering once.'),
];

const PATCH_TYPES = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/apply-patch+yaml',
];
const STRATEGIC_MERGE = 'application/strategic-merge-patch+json';

/** What the operations of one path deal in. */
interface Subject {
  gvk: { group: string; version: string; kind: string };
  component: string | undefined;
  tag: string;
  operation: string;
  custom: boolean;
}

function ref(component: string | undefined): unknown {
  return component === undefined ? {} : { $ref: `#/components/schemas/${component}` };
}

function json(component: string | undefined): unknown {
  return { 'application/json': { schema: ref(component) } };
}

function responses(component: string | undefined, ...codes: number[]): unknown {
  const texts: Record<number, string> = { 200: 'OK', 201: 'Created', 202: 'Accepted' };
  const entries = codes.map((code) => [code, { description: texts[code], content: json(component) }]);
  return { ...Object.fromEntries(entries), 401: { description: 'Unauthorized' } };
}

const STATUS = componentName('meta/v1.Status');
const DELETE_OPTIONS = componentName('meta/v1.DeleteOptions');
const PATCH = componentName('meta/v1.Patch');

function operation(
  subject: Subject,
  action: string,
  verb: string,
  parameters: Parameter[],
  more: Record<string, unknown>,
) {
  return {
    tags: [subject.tag],
    description: `${verb} the specified ${subject.gvk.kind}`,
    operationId: `${verb}${subject.operation}`,
    parameters,
    ...more,
    'x-kubernetes-action': action,
    'x-kubernetes-group-version-kind': subject.gvk,
  };
}

function body(component: string | undefined): unknown {
  return { required: true, content: { '*/*': { schema: ref(component) } } };
}

function patchBody(custom: boolean): unknown {
  const types = custom ? PATCH_TYPES : [...PATCH_TYPES, STRATEGIC_MERGE];
  return {
    required: true,
    content: Object.fromEntries(types.map((type) => [type, { schema: ref(PATCH) }])),
  };
}

function objectOperations(subject: Subject, verbs: readonly string[]): OpenApiPath {
  const path: OpenApiPath = {};
  const { component } = subject;
  if (verbs.includes('get'))
    path.get = operation(subject, 'get', 'read', [], { responses: responses(component, 200) });
  if (verbs.includes('update')) {
    path.put = operation(subject, 'put', 'replace', WRITE, {
      requestBody: body(component),
      responses: responses(component, 200, 201),
    });
  }
  if (verbs.includes('patch')) {
    path.patch = operation(subject, 'patch', 'patch', [...WRITE, FORCE], {
      requestBody: patchBody(subject.custom),
      responses: responses(component, 200, 201),
    });
  }
  if (verbs.includes('create')) {
    path.post = operation(subject, 'post', 'create', WRITE, {
      requestBody: body(component),
      responses: responses(component, 200, 201, 202),
    });
  }
  if (verbs.includes('delete')) {
    path.delete = operation(subject, 'delete', 'delete', DELETE, {
      requestBody: { content: { '*/*': { schema: ref(DELETE_OPTIONS) } } },
      responses: responses(STATUS, 200, 202),
    });
  }
  return path;
}

function collectionOperations(
  subject: Subject,
  list: string | undefined,
  verbs: readonly string[],
): OpenApiPath {
  const path: OpenApiPath = {};
  if (verbs.includes('list'))
    path.get = operation(subject, 'list', 'list', LIST, { responses: responses(list, 200) });
  if (verbs.includes('create')) {
    path.post = operation(subject, 'post', 'create', WRITE, {
      requestBody: body(subject.component),
      responses: responses(subject.component, 200, 201, 202),
    });
  }
  if (verbs.includes('deletecollection')) {
    path.delete = operation(subject, 'deletecollection', 'deletecollection', [...SELECT, ...DELETE], {
      requestBody: { content: { '*/*': { schema: ref(DELETE_OPTIONS) } } },
      responses: responses(STATUS, 200),
    });
  }
  return path;
}

/** `CoreV1`, `AppsV1`, `StableExampleComV1`. */
function operationPrefix(group: string, version: string): string {
  const words = [...(group === '' ? ['core'] : group.split('.')), version];
  return words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}

interface Served {
  info: ResourceInfo;
  component: string | undefined;
  list: string | undefined;
  custom: boolean;
}

function servedPaths({ info, component, list, custom }: Served): Record<string, OpenApiPath> {
  const paths: Record<string, OpenApiPath> = {};
  const prefix = operationPrefix(info.group, info.version);
  const scope = info.namespaced ? 'Namespaced' : '';
  const tag = `${info.group === '' ? 'core' : info.group.split('.')[0]}_${info.version}`;
  const subject: Subject = {
    gvk: { group: info.group, version: info.version, kind: info.kind },
    component,
    tag,
    operation: `${prefix}${scope}${info.kind}`,
    custom,
  };
  const scopeParameters = info.namespaced ? [NAMESPACE, PRETTY] : [PRETTY];
  const itemParameters = [inPath('name', `name of the ${info.kind}`), ...scopeParameters];
  const namespace = info.namespaced ? '{namespace}' : '';
  const collection = collectionOperations(subject, list, info.verbs);
  if (Object.keys(collection).length > 0) {
    paths[resourcePath(info, namespace)] = { ...collection, parameters: scopeParameters };
  }
  if (info.namespaced && info.verbs.includes('list')) {
    const everywhere = { ...subject, operation: `${prefix}${info.kind}ForAllNamespaces` };
    const all = collectionOperations(everywhere, list, ['list']);
    paths[resourcePath(info, '')] = { ...all, parameters: [PRETTY] };
  }
  const itemVerbs = info.verbs.filter((verb) => ['get', 'update', 'patch', 'delete'].includes(verb));
  if (itemVerbs.length > 0) {
    const item = objectOperations(subject, itemVerbs);
    paths[resourcePath(info, namespace, '{name}')] = { ...item, parameters: itemParameters };
  }
  for (const name of info.subresources) {
    const sub = subresourceInfo(info, name);
    const own = sub.kind === info.kind && sub.group === info.group;
    const subSubject: Subject = {
      ...subject,
      gvk: { group: sub.group, version: sub.version, kind: sub.kind },
      component: own ? component : componentOfKind(apiVersionOf(sub), sub.kind),
      operation: `${subject.operation}${name.charAt(0).toUpperCase()}${name.slice(1)}`,
    };
    const operations = objectOperations(subSubject, sub.verbs);
    paths[resourcePath(info, namespace, '{name}', name)] = { ...operations, parameters: itemParameters };
  }
  return paths;
}

/** Paths of a built-in resource and its subresources. */
export function resourcePaths(info: ResourceInfo): Record<string, OpenApiPath> {
  const apiVersion = apiVersionOf(info);
  return servedPaths({
    info,
    component: componentOfKind(apiVersion, info.kind),
    list: componentOfKind(apiVersion, `${info.kind}List`),
    custom: false,
  });
}

/** Paths of one version of a custom resource. */
export function customResourcePaths(
  names: { group: string; kind: string; plural: string; singular: string; namespaced: boolean },
  version: string,
  component: string,
  list: string,
  subresources: string[],
): Record<string, OpenApiPath> {
  const info: ResourceInfo = {
    ...names,
    version,
    shortNames: [],
    categories: [],
    subresources,
    verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
  };
  return servedPaths({ info, component, list, custom: true });
}
