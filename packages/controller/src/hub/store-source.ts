import type { KubeObject } from '@podwire/kube/object';
import type { Store } from '@podwire/store/store';
import { StoreConflict, type StoreEvent } from '@podwire/store/stored-object';
import type { SourceEvent, SyncSource } from '@podwire/sync/source';

/** The store as the sync hub serves it. */
export function storeSource(store: Store): SyncSource {
  return {
    instanceId: store.instanceId,
    revision() {
      try {
        store.flush();
      } catch {
        // The writers have been told; what is durable is still true.
      }
      return store.committedRevision;
    },
    list: (resource, namespace) => store.list(resource, namespace) as readonly KubeObject[],
    watch: (listener) => store.watch({}, (event) => listener(asSourceEvent(event))),
    history(since) {
      const events: SourceEvent[] = [];
      try {
        store.watch({ since }, (event) => events.push(asSourceEvent(event)))();
      } catch (error) {
        if (error instanceof StoreConflict && error.reason === 'compacted') return undefined;
        throw error;
      }
      return events;
    },
  };
}

function asSourceEvent(event: StoreEvent): SourceEvent {
  return event as SourceEvent;
}
