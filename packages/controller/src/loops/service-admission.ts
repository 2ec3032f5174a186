import type { AdmissionPlugin } from '../registry/admission.ts';
import type { Service } from './objects.ts';
import type { ServiceAllocator } from './service-allocator.ts';

/** Lets the allocator fill in Services on their way into the store, and take back what deleted ones held. */
export function serviceAdmission(allocator: ServiceAllocator): AdmissionPlugin {
  return {
    name: 'ServiceAllocation',
    resources: ['services'],
    mutate({ object, old, subresource }) {
      if (subresource !== '') return undefined;
      const service = object as unknown as Service;
      return old === undefined
        ? allocator.create(service)
        : allocator.update(service, old as unknown as Service);
    },
    removed(object) {
      allocator.release(object as unknown as Service);
    },
  };
}
