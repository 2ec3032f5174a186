import { isJsonObject, type KubeObject } from '@podwire/kube/object';
import { emitJson, parseJson } from './codec.ts';
import type { ReportItem } from './gen/sync-proto.ts';
import type { NodeDescription, PodStatusLike, Report } from './types.ts';

/** Reports with the same key replace each other. Heartbeats have none: they are never queued. */
export function reportKey(report: Report): string | undefined {
  switch (report.kind) {
    case 'heartbeat':
      return undefined;
    case 'node':
      return 'node';
    case 'podStatus':
    case 'podDeleted':
      return `${report.kind} ${report.uid}`;
    case 'event':
      return `event ${report.event.metadata.namespace ?? ''}/${report.event.metadata.name ?? ''}`;
  }
}

export function emitReportItem(report: Report): ReportItem {
  switch (report.kind) {
    case 'heartbeat': {
      const { ready, reason = '', message = '' } = report;
      return { kind: 'heartbeat', value: { ready, reason, message } };
    }
    case 'node':
      return { kind: 'node', value: { node: emitJson(report.node) } };
    case 'podStatus': {
      const { namespace, name, uid, status } = report;
      return { kind: 'podStatus', value: { namespace, name, uid, status: emitJson(status) } };
    }
    case 'podDeleted': {
      const { namespace, name, uid } = report;
      return { kind: 'podDeleted', value: { namespace, name, uid } };
    }
    case 'event':
      return { kind: 'event', value: { event: emitJson(report.event) } };
  }
}

/** Returns what is wrong as text when the item's JSON is not what it should be. */
export function parseReportItem(item: ReportItem): Report | string {
  try {
    switch (item.kind) {
      case 'heartbeat':
        return { kind: 'heartbeat', ...item.value };
      case 'node': {
        const node = objectIn<NodeDescription>(item.value.node);
        return isJsonObject(node.status) ? { kind: 'node', node } : 'node report without status';
      }
      case 'podStatus': {
        const { namespace, name, uid, status } = item.value;
        return { kind: 'podStatus', namespace, name, uid, status: objectIn<PodStatusLike>(status) };
      }
      case 'podDeleted':
        return { kind: 'podDeleted', ...item.value };
      case 'event': {
        const event = objectIn<KubeObject>(item.value.event);
        return isJsonObject(event.metadata) ? { kind: 'event', event } : 'event without metadata';
      }
    }
  } catch (error) {
    return `${item.kind} report: ${(error as Error).message}`;
  }
}

function objectIn<T>(bytes: Uint8Array): T {
  const value = parseJson<unknown>(bytes);
  if (!isJsonObject(value)) throw new TypeError('JSON must be an object');
  return value as T;
}
