/** Hybrid embedding: texts in; a vector, weights of tokens and a vector a token out, of one run of the model. */
import { PromptedEncoder } from './encoder.js'
import type { Handle } from './handle.js'
import { loading } from './model.js'
import { open } from './requests.js'
import { hybridSink } from './results.js'
import type { HybridVector, LoadOptions } from './types.js'

/** A hybrid embedder over a handle: for the modules of this folder, not for users. */
export let hybridEmbedderOf: (handle: Handle) => HybridEmbedder

/**
 * A loaded hybrid model (bge-m3): of each text what an `Embedder`, a `SparseEmbedder` and a `MultiVectorEmbedder` of the same
 * folder make of it, by one run of its encoder instead of three. `info.dims` are those of `dense`.
 */
export class HybridEmbedder extends PromptedEncoder<HybridVector> {
  static {
    hybridEmbedderOf = (handle) => new HybridEmbedder(handle, loading)
  }

  private constructor(handle: Handle, key: unknown) {
    super('HybridEmbedder', handle, key, ({ info }, total, single) => hybridSink(total, info.dims, single))
  }

  /**
   * Opens bge-m3, or a model made like it: with sparse_linear.safetensors and colbert_linear.safetensors beside its weights.
   *
   * @throws As `Embedder.load`; ERR_MODEL_UNSUPPORTED for a model that lacks one of the three
   */
  static async load(model: string, options?: LoadOptions): Promise<HybridEmbedder> {
    return new HybridEmbedder(await open('hybrid', 'HybridEmbedder.load', model, options), loading)
  }
}
