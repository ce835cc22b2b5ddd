/** Sparse embedding: texts in, weights of tokens out. */
import type { Errand } from './batch.js'
import type { Rows } from './binding.js'
import type { Sink } from './call.js'
import { embeddings, streamChecks } from './embeddings.js'
import type { Handle } from './handle.js'
import { handleOf, loading, Model } from './model.js'
import { callback, type Checks, oneOf, prompt, readOptions } from './options.js'
import { errandOf, open, promptOf, requestChecks, run } from './requests.js'
import { sparseSink } from './results.js'
import { copyTexts } from './texts.js'
import type { LoadOptions, SparseOptions, SparseVector, StreamOptions, WithUsage } from './types.js'

/** A sparse embedder over a handle: for the modules of this folder, not for users. */
export let sparseEmbedderOf: (handle: Handle) => SparseEmbedder

/**
 * A loaded sparse embedding model (SPLADE, or bge-m3's weights of its own tokens): vectors as wide as a vocabulary, nearly
 * all zero, for an inverted index. Two of them are compared by their dot product.
 */
export class SparseEmbedder extends Model {
  static {
    sparseEmbedderOf = (handle) => new SparseEmbedder(handle, loading)
  }

  private constructor(handle: Handle, key: unknown) {
    super('SparseEmbedder', handle, key)
  }

  /**
   * Opens a sparse model: of sentence-transformers (SpladePooling), a bare masked language model, or bge-m3 with its
   * sparse_linear.safetensors.
   *
   * @throws As `Embedder.load`; ERR_MODEL_UNSUPPORTED for a model that weighs no tokens
   */
  static async load(model: string, options?: LoadOptions): Promise<SparseEmbedder> {
    return new SparseEmbedder(await open('sparse', 'SparseEmbedder.load', model, options), loading)
  }

  /**
   * Weighs tokens of texts as they are, or after `options.prompt`. One text gives one vector, an array gives an array in
   * its order; indices are ids of the model's vocabulary of `info.dims` tokens.
   *
   * @throws ERR_PROMPT, ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  async embed(text: string, options?: SparseOptions): Promise<WithUsage<SparseVector>>
  async embed(texts: readonly string[], options?: SparseOptions): Promise<WithUsage<SparseVector[]>>
  async embed(
    texts: string | readonly string[],
    options?: SparseOptions,
  ): Promise<WithUsage<SparseVector> | WithUsage<SparseVector[]>>
  async embed(texts: string | readonly string[], options?: SparseOptions): Promise<unknown> {
    return embed(handleOf(this), 'embed', texts, options)
  }

  /** Like `embed`, for search queries: with the model's query prompt where it has one, and none otherwise. */
  async embedQuery(text: string, options?: SparseOptions): Promise<WithUsage<SparseVector>>
  async embedQuery(texts: readonly string[], options?: SparseOptions): Promise<WithUsage<SparseVector[]>>
  async embedQuery(texts: string | readonly string[], options?: SparseOptions): Promise<unknown> {
    return embed(handleOf(this), 'embedQuery', texts, options, 'query')
  }

  /** Like `embed`, for texts to be found: with the model's document prompt where it has one, and none otherwise. */
  async embedDocument(text: string, options?: SparseOptions): Promise<WithUsage<SparseVector>>
  async embedDocument(texts: readonly string[], options?: SparseOptions): Promise<WithUsage<SparseVector[]>>
  async embedDocument(texts: string | readonly string[], options?: SparseOptions): Promise<unknown> {
    return embed(handleOf(this), 'embedDocument', texts, options, 'document')
  }

  /**
   * Weighs tokens of the texts of an iterable as they come, as `Embedder.embedStream` embeds them.
   *
   * @throws As `embed`, and what the source throws
   */
  embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options?: StreamOptions<SparseOptions>,
  ): AsyncGenerator<SparseVector, void, undefined> {
    const [handle, method] = [handleOf(this), 'embedStream']
    const { purpose, signal, onProgress, ...rest } = readOptions(
      method,
      options,
      streamChecks<SparseOptions>(sparseChecks),
    )
    const errand = sparseErrand(handle, { priority: 'background', ...rest }, purpose)
    const sink = (count: number): Sink<Rows, unknown> => sparseSink(count, false)
    return embeddings(handle, method, texts, { errand, sink, signal, onProgress })
  }
}

/** The options of a call. */
export const sparseChecks: Checks<SparseOptions> = {
  prompt,
  onOverflow: oneOf(['truncate', 'error', 'chunk']),
  ...requestChecks,
  onProgress: callback,
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
  const sink = sparseSink(texts.length, typeof given === 'string')
  return run({ handle, method, texts, sink, options, errand })
}

/** The errand of a call, or of a stream, with these options. */
export function sparseErrand(
  handle: Handle,
  { prompt, onOverflow: overflow, truncationSide, priority }: SparseOptions,
  purpose?: 'query' | 'document',
): Errand {
  return errandOf(handle, { ...promptOf(handle, prompt, purpose), overflow, truncationSide, priority })
}
