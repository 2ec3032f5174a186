import { badRequest } from '@podwire/kube/status';
import type { Exchange } from './exchange.ts';
import type { HandlerContext, Target } from './resource-handlers.ts';
import type { RequestOptions } from './write-options.ts';

export async function applyPatch(
  _context: HandlerContext,
  _exchange: Exchange,
  _target: Target,
  _body: string,
  _options: RequestOptions,
): Promise<void> {
  throw badRequest('server-side apply is not wired yet');
}
