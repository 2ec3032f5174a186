import { requiredField } from '@podwire/kube/field-error';
import { formatTime, isJsonObject, type KubeObject } from '@podwire/kube/object';
import { serverSideApply } from '@podwire/kube/patch/server-side-apply';
import { apiVersionOf } from '@podwire/kube/resources';
import { badRequest, conflict, invalid, notFound, unsupportedMediaType } from '@podwire/kube/status';
import { copyJson } from '../registry/copy.ts';
import { ignoredFields, ownershipSchema } from '../registry/managed-fields.ts';
import { parseYaml } from './body.ts';
import type { Exchange } from './exchange.ts';
import { flag } from './list-options.ts';
import { answer, type HandlerContext, namespaceOf, type Target } from './resource-handlers.ts';
import type { RequestOptions } from './write-options.ts';

/** PATCH with application/apply-patch+yaml: server-side apply, which creates what is not there. */
export async function applyPatch(
  context: HandlerContext,
  exchange: Exchange,
  target: Target,
  body: string,
  options: RequestOptions,
): Promise<void> {
  const { api } = context;
  const { type, name, subresource } = target;
  const schema = ownershipSchema(type);
  if (schema === undefined)
    throw unsupportedMediaType(['application/json-patch+json', 'application/merge-patch+json']);
  const manager = exchange.url.searchParams.get('fieldManager') ?? '';
  if (manager === '') {
    throw invalid('PatchOptions.meta.k8s.io', '', [
      requiredField('fieldManager', 'is required for apply patch'),
    ]);
  }
  const config = await parseConfig(exchange, body, options);
  const force = flag(exchange.url.searchParams, 'force') ?? false;
  const own = config.metadata.name;
  if (own !== undefined && own !== '' && own !== name) {
    throw badRequest(`the name of the object (${own}) does not match the name on the URL (${name})`);
  }
  config.metadata.name = name;
  const namespace = namespaceOf(type, target.namespace, config);
  const request = {
    schema,
    config,
    force,
    custom: type.custom !== undefined,
    manager,
    apiVersion: apiVersionOf(type.info),
    time: formatTime(api.nowMs()),
    subresource,
    ignoredFields: ignoredFields(type, subresource),
  };
  const writeOptions = { ...options, subresource, ownershipKnown: true };
  const exists = api.store.get(type.storeKey, namespace, name) !== undefined;
  if (!exists) {
    if (subresource !== '') throw notFound(type.id, name);
    if (config.metadata.uid) {
      throw conflict(
        type.id,
        name,
        `uid mismatch: the provided object specified uid ${config.metadata.uid}, and no existing object was found`,
      );
    }
    const next = copyJson(serverSideApply({ ...request, live: undefined }));
    return answer(
      context,
      exchange,
      target,
      201,
      await api.createObject(type, namespace, next, writeOptions),
    );
  }
  const change = (live: KubeObject) => copyJson(serverSideApply({ ...request, live }));
  const written = await api.changeObject(type, namespace, name, change, writeOptions);
  return answer(context, exchange, target, 200, written.object);
}

/** JSON or YAML, whatever the content type says. */
async function parseConfig(exchange: Exchange, body: string, options: RequestOptions): Promise<KubeObject> {
  let parsed: { value: unknown; duplicates: readonly string[] };
  try {
    parsed = await parseYaml(body);
  } catch (error) {
    throw badRequest(`error decoding YAML: ${(error as Error).message}`);
  }
  if (!isJsonObject(parsed.value))
    throw badRequest('error decoding YAML: the configuration is not an object');
  if (parsed.duplicates.length > 0 && options.fieldValidation === 'Strict') {
    throw badRequest(`error strict decoding YAML: ${parsed.duplicates.join(', ')}`);
  }
  if (options.fieldValidation === 'Warn') exchange.warnings.push(...parsed.duplicates);
  const { value } = parsed;
  if (value.metadata === undefined || value.metadata === null) value.metadata = {};
  if (!isJsonObject(value.metadata)) throw badRequest('error decoding YAML: metadata is not an object');
  return value as KubeObject;
}
