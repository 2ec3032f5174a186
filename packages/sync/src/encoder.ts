import type { KubeObject } from '@podwire/kube/object';
import { type EncodedResource, emitResource } from './codec.ts';
import type { View } from './source.ts';

/** Encodes each object once per view, however many peers are sent it. What only one peer sees is not kept. */
export class Encoder {
  readonly #kept = new Map<View, WeakMap<KubeObject, EncodedResource>>();
  /** Encodings made so far. */
  encoded = 0;

  encode(resource: string, object: KubeObject, view: View): EncodedResource {
    if (!view.shared) return this.#make(resource, object, view);
    let kept = this.#kept.get(view);
    if (kept === undefined) this.#kept.set(view, (kept = new WeakMap()));
    let bytes = kept.get(object);
    if (bytes === undefined) kept.set(object, (bytes = this.#make(resource, object, view)));
    return bytes;
  }

  #make(resource: string, object: KubeObject, view: View): EncodedResource {
    this.encoded += 1;
    return emitResource(resource, view.apply(object));
  }
}
