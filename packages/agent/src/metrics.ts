/**
 * GET /metrics in the Prometheus text format 0.0.4.
 */
import { dropReasonText } from '@podwire/dataplane/drop-reasons';

export interface Metric {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly samples: readonly Sample[];
}

export interface Sample {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric without labels. */
export function single(name: string, type: Metric['type'], help: string, value: number): Metric {
  return { name, help, type, samples: [{ value }] };
}

/** Packets not forwarded, by reason. */
export function dropMetric(drops: Iterable<readonly [number, number]>): Metric {
  const samples: Sample[] = [];
  for (const [reason, value] of drops) {
    if (value > 0) samples.push({ labels: { reason: dropReasonText(reason), code: String(reason) }, value });
  }
  return { name: 'podwire_drops_total', help: 'Packets not forwarded.', type: 'counter', samples };
}

export function formatMetrics(metrics: readonly Metric[]): string {
  let text = '';
  for (const { name, help, type, samples } of metrics) {
    text += `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const { labels, value } of samples) {
      const pairs = Object.entries(labels ?? {}).map(([key, label]) => `${key}="${escapeLabel(label)}"`);
      text += `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`;
    }
  }
  return text;
}

function escapeLabel(label: string): string {
  return label.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
