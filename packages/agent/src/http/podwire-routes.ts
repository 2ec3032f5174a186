/**
 * The agent's own endpoints: traces, probes, tables, connection tracking, metrics.
 */
import { DUMP_FORMATS, type DumpFormat, isDumpFormat } from '@podwire/dataplane/dump/dump';
import type { Tables } from '@podwire/dataplane/tables';
import { type ProbeFrom, type ProbeSource, parseProbeRequest, runProbe } from '../probe-request.ts';
import type { TraceRecorder } from '../trace.ts';
import type { HttpCall, Route } from './route.ts';
import { HttpError, respondJson, respondText } from './server.ts';

export interface PodwireRoutesOptions {
  readonly recorder: TraceRecorder;
  /** @throws HttpError when there is no such pod */
  readonly probeSource: (from: ProbeFrom) => ProbeSource;
  readonly tables: () => Tables;
  /** Live entries of the connection table, at most `limit`. */
  readonly conntrack: (limit: number) => { size: number; max: number; entries: readonly unknown[] };
  /** Tables as other tools print them; undefined when the mode in force has none of the kind. */
  readonly dump: (format: DumpFormat) => string | undefined;
  readonly metrics: () => string;
  /** Undefined while the node is well. */
  readonly unhealthy: () => string | undefined;
  readonly nowMs: () => number;
}

const MAX_WINDOW_MS = 600_000;
const DEFAULT_CONNTRACK_ENTRIES = 1000;

export function podwireRoutes(options: PodwireRoutesOptions): Route[] {
  return [
    {
      methods: ['GET'],
      path: '/healthz',
      http({ response }) {
        const trouble = options.unhealthy();
        respondText(response, trouble === undefined ? 200 : 500, trouble ?? 'ok');
      },
    },
    {
      methods: ['GET'],
      path: '/metrics',
      http({ response }) {
        respondText(response, 200, options.metrics(), 'text/plain; version=0.0.4');
      },
    },
    {
      methods: ['GET'],
      path: '/podwire/tables',
      http: ({ response }) => respondJson(response, 200, options.tables()),
    },
    {
      methods: ['GET'],
      path: '/podwire/conntrack',
      http({ query, response }) {
        const limit = Number(query.get('limit') ?? DEFAULT_CONNTRACK_ENTRIES);
        respondJson(response, 200, options.conntrack(limit > 0 ? limit : DEFAULT_CONNTRACK_ENTRIES));
      },
    },
    {
      methods: ['GET'],
      path: '/podwire/dump',
      http({ query, response }) {
        const format = query.get('as') ?? '';
        if (!isDumpFormat(format)) {
          const formats = Object.keys(DUMP_FORMATS).join(', ');
          throw new HttpError(400, `Cannot dump as "${format}": the formats are ${formats}`);
        }
        const text = options.dump(format);
        if (text === undefined) {
          const { mode, node } = options.tables();
          const wanted = DUMP_FORMATS[format];
          throw new HttpError(
            409,
            `Cannot dump ${node.name} as ${format}: it runs in mode ${mode}, and only ${wanted} keeps such a table`,
          );
        }
        respondText(response, 200, text);
      },
    },
    {
      methods: ['POST'],
      path: '/podwire/trace/arm',
      http({ body, response }) {
        const { id, windowMs, maxPackets } = (body ?? {}) as Record<string, unknown>;
        const isCount = (value: unknown, max: number) =>
          Number.isInteger(value) && (value as number) > 0 && (value as number) <= max;
        if (typeof id !== 'string' || !/^[\w.-]{1,64}$/.test(id)) {
          throw new HttpError(400, 'Cannot arm a trace: id must be 1 to 64 letters, digits, ".", "_" or "-"');
        }
        if (!isCount(windowMs, MAX_WINDOW_MS)) {
          throw new HttpError(400, `Cannot arm a trace: windowMs must be 1 to ${MAX_WINDOW_MS}`);
        }
        if (!isCount(maxPackets, 65_536)) {
          throw new HttpError(400, 'Cannot arm a trace: maxPackets must be 1 to 65536');
        }
        options.recorder.arm({ id, windowMs: windowMs as number, maxPackets: maxPackets as number });
        respondJson(response, 200, { id });
      },
    },
    {
      methods: ['GET'],
      path: '/podwire/trace/:id',
      http({ parts, response }) {
        const recorded = options.recorder.read(parts.id!);
        if (recorded === undefined) throw new HttpError(404, `Cannot read trace "${parts.id}": arm it first`);
        respondJson(response, 200, recorded);
      },
    },
    {
      methods: ['DELETE'],
      path: '/podwire/trace/:id',
      http({ parts, response }) {
        respondJson(response, 200, { id: parts.id, wasArmed: options.recorder.disarm(parts.id!) });
      },
    },
    { methods: ['POST'], path: '/podwire/probe', http: (call) => probe(call, options) },
  ];
}

async function probe({ body, response }: HttpCall, options: PodwireRoutesOptions): Promise<void> {
  const request = parseProbeRequest(body);
  if (typeof request === 'string') throw new HttpError(400, request);
  const source = options.probeSource(request.source);
  respondJson(response, 200, await runProbe(source, request, options.nowMs));
}
