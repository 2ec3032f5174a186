import { paint } from '../output.ts';
import type { PacketPath } from './join.ts';

export interface Hop {
  number: number;
  node: string;
  stage: string;
  text: string;
}

const STAGE_NAMES: Record<string, string> = {
  'egress-policy': 'egress policy',
  'ingress-policy': 'ingress policy',
  'source-check': 'source check',
};

/** Every hop of one packet, numbered across nodes: first where it came from, then each step of each pipeline. */
export function hopsOf(path: PacketPath): Hop[] {
  const hops: Hop[] = [];
  const add = (node: string, stage: string, text: string): void => {
    hops.push({ number: hops.length + 1, node, stage, text });
  };
  for (const observation of path.observations) {
    if (observation.hook !== 'from-underlay' && observation.steps[0]?.stage !== 'decode') {
      add(observation.node, observation.hook === 'from-pod' ? 'pod' : 'host', observation.summary);
    }
    for (const step of observation.steps) {
      // The first step tells who sent what: `pod web/fe-1  10.1.1.5:41822 -> 10.96.0.9:80 SYN`.
      const origin = step.stage === 'decode' ? /^(pod|host) +(.*)$/.exec(step.text) : null;
      add(observation.node, origin?.[1] ?? STAGE_NAMES[step.stage] ?? step.stage, origin?.[2] ?? step.text);
    }
  }
  return hops;
}

/** `DELIVERED at node-2`, or `DROPPED at node-2, hop 6/7, POLICY_DENIED`. */
export function headline(path: PacketPath): string {
  const last = path.observations.at(-1)!;
  const hops = hopsOf(path).length;
  switch (last.verdict) {
    case 'deliver':
      return `${paint('green', 'DELIVERED')} at ${last.node}, ${hops} hops`;
    case 'host':
      return `${paint('green', 'DELIVERED')} to the host of ${last.node}, ${hops} hops`;
    case 'encap':
      return `${paint('yellow', 'LOST')} after ${last.node}: no node saw it arrive, ${hops} hops`;
    case 'reply':
      return `${paint('yellow', 'ANSWERED')} by ${last.node} itself, ${hops} hops`;
    case 'drop':
      return `${paint('red', 'DROPPED')} at ${last.node}, hop ${hops}/${hops}, ${last.reason ?? 'no reason given'}`;
  }
}

export function renderPath(path: PacketPath): string {
  const hops = hopsOf(path);
  const nodeWidth = Math.max(...hops.map((hop) => hop.node.length));
  const stageWidth = Math.max(...hops.map((hop) => Math.min(hop.stage.length, 24)));
  const lines = [headline(path)];
  for (const hop of hops) {
    const prefix = `${String(hop.number).padStart(3)}  ${hop.node.padEnd(nodeWidth)}  ${hop.stage.padEnd(stageWidth)}  `;
    const width = Math.max(30, 100 - prefix.length);
    const [first, ...rest] = wrap(
      hop.text,
      hop.stage.length > stageWidth ? width - (hop.stage.length - stageWidth) : width,
    );
    lines.push(prefix + first);
    for (const line of rest) lines.push(' '.repeat(5 + nodeWidth + 2 + stageWidth + 2) + line);
  }
  return lines.join('\n');
}

/** Breaks at spaces; a word that is longer than the width stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const part of text.split('\n')) {
    let line = '';
    for (const word of part.split(' ')) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else line = line === '' ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines;
}
