/** Hybrid embedding: texts in; a vector, weights of tokens and a vector a token out, of one run of the model. */
import type { Rows } from './binding.js'
import type { Sink } from './call.js'
import { embeddings, streamChecks } from './embeddings.js'
import type { Handle } from './handle.js'
import { handleOf, loading, Model } from './model.js'
import { readOptions } from './options.js'
import { open, run } from './requests.js'
import { hybridSink } from './results.js'
import { sparseChecks, sparseErrand } from './sparse.js'
import { copyTexts } from './texts.js'
import type { HybridVector, LoadOptions, SparseOptions, StreamOptions, WithUsage } from './types.js'

/** A hybrid embedder over a handle: for the modules of this folder, not for users. */
export let hybridEmbedderOf: (handle: Handle) => HybridEmbedder

/**
 * A loaded hybrid model (bge-m3): of each text what an `Embedder`, a `SparseEmbedder` and a `MultiVectorEmbedder` of the same
 * folder make of it, by one run of its encoder instead of three.
 */
export class HybridEmbedder extends Model {
  static {
    hybridEmbedderOf = (handle) => new HybridEmbedder(handle, loading)
  }

  private constructor(handle: Handle, key: unknown) {
    super('HybridEmbedder', handle, key)
  }

  /**
   * Opens bge-m3, or a model made like it: with sparse_linear.safetensors and colbert_linear.safetensors beside its weights.
   *
   * @throws As `Embedder.load`; ERR_MODEL_UNSUPPORTED for a model that lacks one of the three
   */
  static async load(model: string, options?: LoadOptions): Promise<HybridEmbedder> {
    return new HybridEmbedder(await open('hybrid', 'HybridEmbedder.load', model, options), loading)
  }

  /**
   * Embeds texts as they are, or after `options.prompt`. One text gives one result, an array gives an array in its order;
   * `info.dims` are those of `dense`.
   *
   * @throws ERR_PROMPT, ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  async embed(text: string, options?: SparseOptions): Promise<WithUsage<HybridVector>>
  async embed(texts: readonly string[], options?: SparseOptions): Promise<WithUsage<HybridVector[]>>
  async embed(
    texts: string | readonly string[],
    options?: SparseOptions,
  ): Promise<WithUsage<HybridVector> | WithUsage<HybridVector[]>>
  async embed(texts: string | readonly string[], options?: SparseOptions): Promise<unknown> {
    return embed(handleOf(this), 'embed', texts, options)
  }

  /** Like `embed`, for search queries: with the model's query prompt where it has one, and none otherwise. */
  async embedQuery(text: string, options?: SparseOptions): Promise<WithUsage<HybridVector>>
  async embedQuery(texts: readonly string[], options?: SparseOptions): Promise<WithUsage<HybridVector[]>>
  async embedQuery(texts: string | readonly string[], options?: SparseOptions): Promise<unknown> {
    return embed(handleOf(this), 'embedQuery', texts, options, 'query')
  }

  /** Like `embed`, for texts to be found: with the model's document prompt where it has one, and none otherwise. */
  async embedDocument(text: string, options?: SparseOptions): Promise<WithUsage<HybridVector>>
  async embedDocument(texts: readonly string[], options?: SparseOptions): Promise<WithUsage<HybridVector[]>>
  async embedDocument(texts: string | readonly string[], options?: SparseOptions): Promise<unknown> {
    return embed(handleOf(this), 'embedDocument', texts, options, 'document')
  }

  /**
   * Embeds the texts of an iterable as they come, as `Embedder.embedStream` does.
   *
   * @throws As `embed`, and what the source throws
   */
  embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options?: StreamOptions<SparseOptions>,
  ): AsyncGenerator<HybridVector, void, undefined> {
    const [handle, method] = [handleOf(this), 'embedStream']
    const { purpose, signal, onProgress, ...rest } = readOptions(
      method,
      options,
      streamChecks<SparseOptions>(sparseChecks),
    )
    const errand = sparseErrand(handle, { priority: 'background', ...rest }, purpose)
    const sink = (count: number): Sink<Rows, unknown> => hybridSink(count, handle.info.dims, false)
    return embeddings(handle, method, texts, { errand, sink, signal, onProgress })
  }
}

async function embed(
  handle: Handle,
  method: string,
  given: unknown,
  asked: unknown,
  purpose?: 'query' | 'document',
): Promise<unknown> {
  const options = readOptions<SparseOptions>(method, asked, sparseChecks)
  const texts = copyTexts(method, given)
  const errand = sparseErrand(handle, options, purpose)
  const sink = hybridSink(texts.length, handle.info.dims, typeof given === 'string')
  return run({ handle, method, texts, sink, options, errand })
}
