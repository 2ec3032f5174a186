import type { KubeObject } from '@podwire/kube/object';
import { unknownPath } from '@podwire/kube/status';
import { type AuthenticationOptions, type User, userOfToken } from './authentication.ts';
import { decodeObject, kindOf } from './decode.ts';
import { type Exchange, sendObject } from './exchange.ts';
import type { Target } from './resource-handlers.ts';
import { parseRequestOptions } from './write-options.ts';

/**
 * The reviews: POSTs that are answered from the request and stored nowhere. Whoever is let in may do everything, so access
 * reviews allow everything.
 */
export async function handleReview(
  exchange: Exchange,
  { type }: Target,
  authentication: AuthenticationOptions,
): Promise<void> {
  const { fieldValidation } = parseRequestOptions(exchange, 'CreateOptions');
  const review = await decodeObject(exchange, kindOf(type), fieldValidation);
  const { kind } = type.info;
  const status = statusOf(kind, review, exchange.user, authentication);
  return sendObject(exchange, 201, {
    ...review,
    kind,
    apiVersion: `${type.info.group}/${type.info.version}`,
    status,
  });
}

function statusOf(
  kind: string,
  review: KubeObject,
  user: User,
  authentication: AuthenticationOptions,
): object {
  switch (kind) {
    case 'SelfSubjectAccessReview':
    case 'SubjectAccessReview':
    case 'LocalSubjectAccessReview':
      return { allowed: true, reason: 'every user of this cluster may do everything' };
    case 'SelfSubjectRulesReview':
      return {
        resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
        nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
        incomplete: false,
      };
    case 'SelfSubjectReview':
      return { userInfo: user };
    case 'TokenReview': {
      const token = (review.spec as { token?: string } | undefined)?.token ?? '';
      const found = userOfToken(token, authentication);
      return found === undefined ? { authenticated: false, user: {} } : { authenticated: true, user: found };
    }
    default:
      throw unknownPath();
  }
}
