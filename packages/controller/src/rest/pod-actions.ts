import { formatTime, type KubeObject } from '@podwire/kube/object';
import { type LabelSelectorObject, matchesLabelSelector } from '@podwire/kube/selectors';
import { ApiError, badRequest, notFound, tooManyRequests } from '@podwire/kube/status';
import type { DeleteOptions } from '../api.ts';
import type { ObjectApi } from '../registry/object-api.ts';
import { signToken } from './authentication.ts';
import { builtInKind, decodeObject } from './decode.ts';
import { type Exchange, sendObject } from './exchange.ts';
import type { Target } from './resource-handlers.ts';
import { parseDeleteOptions, parseRequestOptions } from './write-options.ts';

/** Subresources one POSTs to: a pod's binding and eviction, a service account's token. */
export const ACTION_SUBRESOURCES: readonly string[] = ['binding', 'eviction', 'token'];

export interface ActionContext {
  api: ObjectApi;
  signingKey: Uint8Array;
  issuer: string;
  random32: () => number;
}

export async function handleAction(
  context: ActionContext,
  exchange: Exchange,
  target: Target,
): Promise<void> {
  if (target.subresource === 'binding') return bind(context, exchange, target, target.name);
  if (target.subresource === 'eviction') return evict(context, exchange, target);
  return issueToken(context, exchange, target);
}

const SUCCESS = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success' };

/** POST pods/NAME/binding, or bindings with the pod's name inside. */
export async function bind(
  { api }: ActionContext,
  exchange: Exchange,
  target: Target,
  name: string | undefined,
): Promise<void> {
  const options = parseRequestOptions(exchange, 'CreateOptions');
  const binding = await decodeObject(exchange, builtInKind('', 'v1', 'Binding'), options.fieldValidation);
  const pods = api.types.byId('pods')!;
  const pod = name ?? binding.metadata.name ?? '';
  const bound = (current: KubeObject): KubeObject => ({
    ...binding,
    metadata: { name: current.metadata.name!, ...(binding.metadata.uid && { uid: binding.metadata.uid }) },
  });
  await api.changeObject(pods, target.namespace, pod, bound, {
    dryRun: options.dryRun,
    subresource: 'binding',
  });
  return sendObject(exchange, 201, { ...SUCCESS, code: 201 });
}

interface Budget extends KubeObject {
  spec?: { selector?: LabelSelectorObject; minAvailable?: number | string; maxUnavailable?: number | string };
  status?: {
    disruptionsAllowed?: number;
    desiredHealthy?: number;
    currentHealthy?: number;
    observedGeneration?: number;
  };
}

/** POST pods/NAME/eviction: a deletion that asks the pod's disruption budget first (pkg/registry/core/pod/storage/eviction.go). */
async function evict({ api }: ActionContext, exchange: Exchange, target: Target): Promise<void> {
  const { fieldValidation, dryRun } = parseRequestOptions(exchange, 'CreateOptions');
  const eviction = await decodeObject(exchange, builtInKind('policy', 'v1', 'Eviction'), fieldValidation);
  const own = eviction.metadata.name;
  if (own !== undefined && own !== '' && own !== target.name) {
    throw badRequest(`name in URL does not match name in Eviction object`);
  }
  const pod = api.get<KubeObject>('pods', target.namespace, target.name);
  if (pod === undefined) throw notFound('pods', target.name);
  const pods = api.types.byId('pods')!;
  const given = eviction.deleteOptions as Record<string, unknown> | undefined;
  const options: DeleteOptions = parseDeleteOptions(exchange.url.searchParams, given);
  if (dryRun) options.dryRun = true;
  const phase = (pod.status as { phase?: string } | undefined)?.phase;
  const alreadyGoing = pod.metadata.deletionTimestamp !== undefined;
  if (!alreadyGoing && phase !== 'Succeeded' && phase !== 'Failed' && phase !== 'Pending')
    checkBudget(api, pod);
  await api.deleteObject(pods, target.namespace, target.name, options);
  return sendObject(exchange, 201, { ...SUCCESS, code: 201 });
}

function checkBudget(api: ObjectApi, pod: KubeObject): void {
  const namespace = pod.metadata.namespace ?? '';
  const budgets = api
    .list<Budget>('poddisruptionbudgets.policy', { namespace })
    .filter((each) => matchesLabelSelector(each.spec?.selector, pod.metadata.labels));
  if (budgets.length > 1) {
    throw new ApiError({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message:
        'Internal error occurred: This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
      reason: 'InternalError',
      code: 500,
    });
  }
  const [budget] = budgets;
  if (budget === undefined) return;
  const { allowed, desired, healthy } = disruptions(api, budget);
  if (allowed > 0 || !isReady(pod)) return;
  const message = `The disruption budget ${budget.metadata.name} needs ${desired} healthy pods and has ${healthy} currently`;
  throw tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", 0, [
    { reason: 'DisruptionBudget', message },
  ]);
}

/** Counted at the moment of asking: several evictions may come before the budget's status follows. */
function disruptions(api: ObjectApi, budget: Budget): { allowed: number; desired: number; healthy: number } {
  const { selector, minAvailable, maxUnavailable } = budget.spec ?? {};
  const pods = api
    .list<KubeObject>('pods', { namespace: budget.metadata.namespace ?? '' })
    .filter((each) => matchesLabelSelector(selector, each.metadata.labels));
  const healthy = pods.filter(
    (each) => isReady(each) && each.metadata.deletionTimestamp === undefined,
  ).length;
  const expected = pods.length;
  const known = budget.status?.observedGeneration === budget.metadata.generation;
  const desired =
    known && budget.status?.desiredHealthy !== undefined
      ? budget.status.desiredHealthy
      : maxUnavailable !== undefined
        ? Math.max(0, expected - scaled(maxUnavailable, expected))
        : scaled(minAvailable ?? 1, expected);
  return { allowed: healthy - desired, desired, healthy };
}

/** An absolute number or a percentage, rounded up. */
function scaled(value: number | string, total: number): number {
  return typeof value === 'number' ? value : Math.ceil((Number.parseFloat(value) * total) / 100);
}

function isReady(pod: KubeObject): boolean {
  const conditions = (pod.status as { conditions?: { type: string; status: string }[] } | undefined)
    ?.conditions;
  return conditions?.some((each) => each.type === 'Ready' && each.status === 'True') ?? false;
}

const DEFAULT_EXPIRATION_SECONDS = 3600;
const LEAST_EXPIRATION_SECONDS = 600;

/** POST serviceaccounts/NAME/token: what `kubectl create token` asks. */
async function issueToken(context: ActionContext, exchange: Exchange, target: Target): Promise<void> {
  const { api, issuer } = context;
  const { fieldValidation } = parseRequestOptions(exchange, 'CreateOptions');
  const expected = builtInKind('authentication.k8s.io', 'v1', 'TokenRequest');
  const request = await decodeObject(exchange, expected, fieldValidation);
  const account = api.get<KubeObject>('serviceaccounts', target.namespace, target.name);
  if (account === undefined) throw notFound('serviceaccounts', target.name);
  const spec = (request.spec ?? {}) as { audiences?: string[]; expirationSeconds?: number };
  const audiences = spec.audiences?.length ? spec.audiences : [issuer];
  const expirationSeconds = Math.max(
    LEAST_EXPIRATION_SECONDS,
    spec.expirationSeconds ?? DEFAULT_EXPIRATION_SECONDS,
  );
  const nowSeconds = Math.floor(api.nowMs() / 1000);
  const exp = nowSeconds + expirationSeconds;
  const claims = {
    iss: issuer,
    sub: `system:serviceaccount:${target.namespace}:${target.name}`,
    aud: audiences,
    jti: [context.random32(), context.random32()].map((each) => each.toString(16).padStart(8, '0')).join(''),
    iat: nowSeconds,
    nbf: nowSeconds,
    exp,
    'kubernetes.io': {
      namespace: target.namespace,
      serviceaccount: { name: target.name, uid: account.metadata.uid ?? '' },
    },
  };
  const token = signToken(claims, context.signingKey);
  return sendObject(exchange, 201, {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { name: target.name, namespace: target.namespace, creationTimestamp: formatTime(api.nowMs()) },
    spec: { ...spec, audiences, expirationSeconds },
    status: { token, expirationTimestamp: formatTime(exp * 1000) },
  });
}
