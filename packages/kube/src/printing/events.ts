import type { Event } from 'kubernetes-types/core/v1.d.ts';
import type { Stored } from '../object.ts';
import { integer, NAME, type Printer, printer, text, timeSince, wide } from './columns.ts';

/** An Event in the form of core/v1 or of events.k8s.io/v1, which calls the same things by other names. */
interface AnyEvent extends Stored<Event> {
  regarding?: Stored<Event>['involvedObject'];
  note?: string;
  reportingController?: string;
  deprecatedSource?: { component?: string; host?: string };
  deprecatedFirstTimestamp?: string;
  deprecatedLastTimestamp?: string;
  deprecatedCount?: number;
}

export const events: Printer = printer<AnyEvent>(
  [
    text('Last Seen'),
    text('Type'),
    text('Reason'),
    text('Object'),
    ...wide(text('Subobject'), text('Source')),
    text('Message'),
    ...wide(text('First Seen'), integer('Count'), NAME),
  ],
  (event, nowMs) => {
    const object = event.involvedObject ?? event.regarding ?? {};
    const first = event.firstTimestamp ?? event.deprecatedFirstTimestamp ?? event.eventTime;
    const last =
      event.series?.lastObservedTime ?? event.lastTimestamp ?? event.deprecatedLastTimestamp ?? first;
    const kind = (object.kind ?? '').toLowerCase();
    return [
      timeSince(last, nowMs),
      event.type ?? '',
      event.reason ?? '',
      object.name ? `${kind}/${object.name}` : kind,
      object.fieldPath ?? '',
      sourceOf(event),
      (event.message ?? event.note ?? '').trim(),
      timeSince(first, nowMs),
      event.series?.count ?? (event.count || event.deprecatedCount || 1),
      event.metadata.name,
    ];
  },
);

function sourceOf(event: AnyEvent): string {
  const source = event.source ?? event.deprecatedSource;
  const component = source?.component || event.reportingComponent || event.reportingController || '';
  const instance = source?.host || event.reportingInstance || '';
  return instance === '' ? component : `${component}, ${instance}`;
}
