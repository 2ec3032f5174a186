import type { Observation, Tuple } from './observation.ts';

/** One packet's way through the nodes: the observations of it in the order it met them. */
export interface PacketPath {
  observations: Observation[];
  /** `request` travels from the side that opened the flow. */
  direction: 'request' | 'reply';
}

/** The same for both directions of a flow. */
export function flowKey(tuple: Tuple): string {
  const a = `${tuple.src}|${tuple.sport}`;
  const b = `${tuple.dst}|${tuple.dport}`;
  return a < b ? `${tuple.proto}|${a}|${b}` : `${tuple.proto}|${b}|${a}`;
}

/**
 * Picks the observations that belong to one flow and strings them into packets. A flow changes its addresses on
 * the way (DNAT, SNAT), so the set of tuples grows with every translation that a node reports, until nothing new
 * is found.
 *
 * @param seed true for an observation that surely belongs to the flow
 */
export function joinFlow(all: readonly Observation[], seed: (o: Observation) => boolean): PacketPath[] {
  const keys = new Set<string>();
  const ofFlow = new Set<Observation>();
  const take = (observation: Observation): void => {
    ofFlow.add(observation);
    if (observation.tupleIn) keys.add(flowKey(observation.tupleIn));
    if (observation.tupleOut) keys.add(flowKey(observation.tupleOut));
  };
  for (const observation of all) if (seed(observation)) take(observation);
  for (let before = -1; before !== ofFlow.size; ) {
    before = ofFlow.size;
    for (const observation of all) {
      if (ofFlow.has(observation)) continue;
      const known = [observation.tupleIn, observation.tupleOut].some(
        (t) => t !== undefined && keys.has(flowKey(t)),
      );
      if (known) take(observation);
    }
  }
  const ordered = [...ofFlow].sort((a, b) => compareTimes(a, b));
  return stringPackets(ordered);
}

export function compareTimes(a: Observation, b: Observation): number {
  const difference = BigInt(a.timeNs) - BigInt(b.timeNs);
  if (difference !== 0n) return difference < 0n ? -1 : 1;
  return a.node === b.node ? a.seq - b.seq : 0;
}

/**
 * A packet that left one node by the tunnel is the next one that arrives on another node with the same tuple;
 * one that the node's data plane made or handed to its host starts a path of its own.
 */
function stringPackets(ordered: readonly Observation[]): PacketPath[] {
  const paths: PacketPath[] = [];
  const underway: PacketPath[] = [];
  let client: string | undefined;
  for (const observation of ordered) {
    const tuple = observation.tupleIn;
    if (client === undefined && tuple) client = `${tuple.src}|${tuple.sport}`;
    let path: PacketPath | undefined;
    if (observation.hook === 'from-underlay') {
      const index = underway.findIndex((candidate) => continues(candidate, observation));
      if (index >= 0) path = underway.splice(index, 1)[0];
    }
    if (!path) {
      path = { observations: [], direction: 'request' };
      paths.push(path);
    }
    path.observations.push(observation);
    if (observation.verdict === 'encap') underway.push(path);
  }
  // A reply is a packet that some node knew as the other half of a flow, or one sent to the client's own address.
  for (const path of paths) {
    const first = path.observations[0]!.tupleIn;
    const last = path.observations.at(-1)!;
    const end = last.tupleOut ?? last.tupleIn;
    if (first && client !== `${first.src}|${first.sport}` && end && client === `${end.dst}|${end.dport}`)
      path.direction = 'reply';
  }
  return paths;
}

function continues(path: PacketPath, observation: Observation): boolean {
  const last = path.observations.at(-1)!;
  const left = last.tupleOut ?? last.tupleIn;
  const met = observation.tupleIn;
  return (
    last.node !== observation.node &&
    left !== undefined &&
    met !== undefined &&
    left.src === met.src &&
    left.dst === met.dst &&
    left.sport === met.sport &&
    left.dport === met.dport
  );
}
