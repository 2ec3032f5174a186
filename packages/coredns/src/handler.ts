import { type Answer, emitAnswer, emitError, emptyAnswer, parseQuery, type Query } from './message.ts';
import type { Client, Plugin } from './plugin.ts';
import { longestZone } from './zones.ts';

/** One server block, ready to answer. */
export interface Zone {
  zones: readonly string[];
  chain: readonly Plugin[];
}

export const MAX_TCP_MESSAGE = 65_535;

/** Answers a message from the block with the longest matching zone; undefined when none is due. Never throws. */
export async function answerMessage(
  message: Uint8Array,
  client: Client,
  blocks: readonly Zone[],
): Promise<Buffer | undefined> {
  const parsed = parseQuery(message);
  if (!parsed) return undefined;
  if (!('query' in parsed)) return emitError(parsed.id, parsed.rcode);
  const { query } = parsed;
  const limit = client.protocol === 'tcp' ? MAX_TCP_MESSAGE : query.udpPayloadSize;
  let answer: Answer;
  try {
    answer = await serve(query, client, blocks);
  } catch {
    answer = emptyAnswer('SERVFAIL');
  }
  try {
    return emitAnswer(query, answer, limit);
  } catch {
    return emitError(query.id, 'SERVFAIL');
  }
}

function serve(query: Query, client: Client, blocks: readonly Zone[]): Promise<Answer> {
  const zone = longestZone(
    query.question.name,
    blocks.flatMap((block) => block.zones),
  );
  const block = zone === undefined ? undefined : blocks.find((candidate) => candidate.zones.includes(zone));
  if (!block) return Promise.resolve(emptyAnswer('REFUSED'));
  // What no plugin answers is refused, as CoreDNS does without forward.
  const step = (index: number): Promise<Answer> => {
    const plugin = block.chain[index];
    return plugin
      ? plugin.serve(query, client, () => step(index + 1))
      : Promise.resolve(emptyAnswer('REFUSED'));
  };
  return step(0);
}
