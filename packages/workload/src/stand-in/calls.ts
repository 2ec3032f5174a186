import { type IncomingMessage, request } from 'node:http';
import type { ProgramContext } from '../container.ts';
import { resolveHost } from '../resolver.ts';
import type { Upstream } from './upstreams.ts';

/** What a stand-in says of itself and of whom it called; the text form of it is what people read. */
export interface Report {
  pod: string;
  node: string;
  /** Where the request arrived. */
  address: string;
  /** Who asked, as this pod saw it. */
  client: string;
  calls: CallReport[];
}

export interface CallReport {
  variable: string;
  to: string;
  ms: number;
  status?: number;
  error?: string;
  /** The stand-in that answered; absent when another program did. */
  answer?: Report;
}

/** Counts the stand-ins a request has passed, so that a circle of upstreams ends. */
export const HOPS_HEADER = 'x-podwire-hops';
export const MAX_HOPS = 8;
const CALL_TIMEOUT_MS = 4_000;
const MAX_ANSWER_BYTES = 256 * 1024;

/** Calls every upstream at once. Never rejects: a failed call is a report too. */
export function callAll(
  context: ProgramContext,
  upstreams: readonly Upstream[],
  hops: number,
): Promise<CallReport[]> {
  if (hops >= MAX_HOPS) return Promise.resolve([]);
  return Promise.all(upstreams.map((upstream) => call(context, upstream, hops)));
}

async function call(context: ProgramContext, upstream: Upstream, hops: number): Promise<CallReport> {
  const { clock, output } = context;
  const to = `${upstream.host}:${upstream.port}`;
  const began = clock.nowMs();
  const base = { variable: upstream.variable, to };
  let report: CallReport;
  try {
    const addresses = await resolveHost(context.sandbox, upstream.host, { signal: context.kill });
    const { status, body } = await get(context, addresses[0]!, upstream, hops);
    report = { ...base, ms: clock.nowMs() - began, status, ...readReport(body) };
  } catch (error) {
    report = {
      ...base,
      ms: clock.nowMs() - began,
      error: (error as Error & { code?: string }).code ?? (error as Error).message,
    };
  }
  const outcome = report.error ?? `${report.status}${report.answer ? ` from ${report.answer.pod}` : ''}`;
  output.stdout(`call ${upstream.variable} ${to} -> ${outcome} ${report.ms.toFixed(1)} ms`);
  return report;
}

function get(
  context: ProgramContext,
  address: string,
  upstream: Upstream,
  hops: number,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request({
      method: 'GET',
      path: '/',
      headers: {
        host: `${upstream.host}:${upstream.port}`,
        accept: 'application/json',
        connection: 'close',
        'user-agent': 'podwire-stand-in',
        [HOPS_HEADER]: String(hops + 1),
      },
      timeout: CALL_TIMEOUT_MS,
      signal: context.kill,
      createConnection: () =>
        context.sandbox.stack.connectTcp({
          host: address,
          port: upstream.port,
          connectTimeoutMs: CALL_TIMEOUT_MS,
        }),
    });
    outgoing.on('timeout', () =>
      outgoing.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
    );
    outgoing.on('error', reject);
    outgoing.on('response', (response: IncomingMessage) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    outgoing.end();
  });
}

function readReport(body: string): { answer?: Report } {
  try {
    const report = JSON.parse(body) as Report;
    return typeof report.pod === 'string' && Array.isArray(report.calls) ? { answer: report } : {};
  } catch {
    return {};
  }
}

/** The report as lines: who answered, then the calls indented below their callers. */
export function reportText(report: Report): string {
  const lines = [
    `pod: ${report.pod}`,
    `node: ${report.node}`,
    `address: ${report.address}`,
    `client: ${report.client}`,
  ];
  const add = (calls: readonly CallReport[], depth: number): void => {
    for (const made of calls) {
      const outcome =
        made.error ?? `${made.status}${made.answer ? ` ${made.answer.pod} (${made.answer.node})` : ''}`;
      lines.push(`${'  '.repeat(depth)}${made.variable} ${made.to} -> ${outcome} ${made.ms.toFixed(1)} ms`);
      if (made.answer) add(made.answer.calls, depth + 1);
    }
  };
  if (report.calls.length > 0) {
    lines.push('calls:');
    add(report.calls, 1);
  }
  return `${lines.join('\n')}\n`;
}
