/**
 * Text embeddings inside the Node process: load a model, embed texts, compare vectors.
 *
 * ```ts
 * import { Embedder } from '@x/embed-native'
 *
 * const embedder = await Embedder.load('./all-MiniLM-L6-v2')
 * const vectors = await embedder.embed(['red fox', 'blue whale'])
 * const query = await embedder.embedQuery('orange animal')
 * const [best] = await embedder.topK(query, vectors, 1) // { index: 0, score: … }
 * ```
 *
 * Every promise rejects with an error that has a `code`: a `ModelError`, or a `TypeError` or `RangeError` with
 * ERR_INVALID_ARGUMENT for wrong arguments; after an abort, with the signal's reason. See docs/errors.md.
 */
import { binding } from './lib/binding.js'
import { argumentError } from './lib/errors.js'
import { defineDisposal, type Handle } from './lib/handle.js'
import { countTokens, embed, open, rerank } from './lib/requests.js'
import type {
  CountOptions,
  EmbedOptions,
  LoadOptions,
  Match,
  ModelInfo,
  OutputName,
  Ranked,
  RerankOptions,
  SearchOptions,
  Several,
  Single,
  WithUsage,
} from './lib/types.js'
import * as search from './lib/vectors.js'
import manifest from './package.json' with { type: 'json' }

export { ModelError } from './lib/errors.js'
export type {
  CountOptions,
  Device,
  EmbedOptions,
  ErrorCode,
  LoadOptions,
  Match,
  Matrix,
  ModelInfo,
  OutputName,
  Progress,
  Ranked,
  RerankOptions,
  SearchOptions,
  Several,
  Single,
  Usage,
  Vector,
  WithUsage,
} from './lib/types.js'

/** This package's version. */
export const version: string = manifest.version

/** The model of `Embedder.load()`. */
const DEFAULT_MODEL = 'sentence-transformers/all-MiniLM-L6-v2'

/** What only `Embedder.load` has. */
const loading = Symbol('loading')

/**
 * A loaded model. Calls made in one turn of the event loop share a batch; a large call is cut into parts and never blocks
 * the event loop. Equal texts give equal bits, alone or in any batch (`info.batchInvariant`).
 */
export class Embedder {
  /** What is known about the model. Frozen. */
  readonly info: ModelInfo
  readonly #handle: Handle

  /** Frees the model, as `dispose` does. */
  declare readonly [Symbol.dispose]: () => void
  /** Frees the model, and resolves when the calls under way have ended. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>

  private constructor(handle: Handle, key: unknown) {
    if (key !== loading) throw argumentError('Use `await Embedder.load(folder)`: a model takes time to load')
    this.#handle = handle
    this.info = handle.info
  }

  /**
   * Opens a model. Files are read on another thread, and closed again; models loaded twice share their weights.
   *
   * @param model A folder in the layout of sentence-transformers (config.json, model.safetensors, tokenizer.json, …).
   *   A name, such as the default all-MiniLM-L6-v2, is ERR_MODEL_NOT_FOUND in this version, which downloads nothing.
   * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FILE, ERR_MODEL_UNSUPPORTED, ERR_TOKENIZER, ERR_DEVICE, ERR_UNSUPPORTED,
   *   ERR_BINDING, ERR_SETTINGS, ERR_MEMORY
   */
  static async load(model: string = DEFAULT_MODEL, options?: LoadOptions): Promise<Embedder> {
    return new Embedder(await open('loadEmbedder', 'Embedder.load', model, options), loading)
  }

  /**
   * Embeds texts as they are, or after `options.prompt`. One text gives one vector of `info.dims` numbers, an array gives
   * an array in its order; `options.output` chooses other forms. The result's `usage` says how many tokens were computed
   * and which texts were cut.
   *
   * @throws ERR_PROMPT, ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  async embed<Output extends OutputName = 'float32'>(
    text: string,
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output]>
  async embed<Output extends OutputName = 'float32'>(
    texts: readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Several[Output]>
  async embed<Output extends OutputName = 'float32'>(
    texts: string | readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output] | Several[Output]>
  async embed(texts: string | readonly string[], options?: EmbedOptions): Promise<unknown> {
    return embed(this.#handle, 'embed', texts, options)
  }

  /** Like `embed`, for search queries: with the model's query prompt where it has one, and none otherwise. */
  async embedQuery<Output extends OutputName = 'float32'>(
    text: string,
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output]>
  async embedQuery<Output extends OutputName = 'float32'>(
    texts: readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Several[Output]>
  async embedQuery<Output extends OutputName = 'float32'>(
    texts: string | readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output] | Several[Output]>
  async embedQuery(texts: string | readonly string[], options?: EmbedOptions): Promise<unknown> {
    return embed(this.#handle, 'embedQuery', texts, options, 'query')
  }

  /** Like `embed`, for texts to be found: with the model's document prompt where it has one, and none otherwise. */
  async embedDocument<Output extends OutputName = 'float32'>(
    text: string,
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output]>
  async embedDocument<Output extends OutputName = 'float32'>(
    texts: readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Several[Output]>
  async embedDocument<Output extends OutputName = 'float32'>(
    texts: string | readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output] | Several[Output]>
  async embedDocument(texts: string | readonly string[], options?: EmbedOptions): Promise<unknown> {
    return embed(this.#handle, 'embedDocument', texts, options, 'document')
  }

  /** Counts tokens, special ones included, before any cutting: a text of more than `info.maxLength` would be cut. */
  async countTokens(text: string, options?: CountOptions): Promise<number>
  async countTokens(texts: readonly string[], options?: CountOptions): Promise<number[]>
  async countTokens(texts: string | readonly string[], options?: CountOptions): Promise<number | number[]>
  async countTokens(texts: string | readonly string[], options?: CountOptions): Promise<number | number[]> {
    return countTokens(this.#handle, texts, options)
  }

  /** `similarity` of this module, at hand. */
  similarity(a: Float32Array, b: Float32Array): number {
    return similarity(a, b)
  }

  /** `topK` of this module, at hand. */
  async topK(
    query: Float32Array,
    vectors: Float32Array | readonly Float32Array[],
    k: number,
    options?: SearchOptions,
  ): Promise<Match[]> {
    return topK(query, vectors, k, options)
  }

  /** Whether `dispose` was called. */
  get disposed(): boolean {
    return this.#handle.disposed
  }

  /** Frees the model once the calls under way have ended; new calls reject with ERR_DISPOSED. Twice is as good as once. */
  dispose(): void {
    this.#handle.dispose()
  }

  static {
    defineDisposal(Embedder, (embedder) => embedder.#handle.dispose())
  }
}

/**
 * A loaded cross-encoder: it reads a query and a document together and scores how well they fit. Slower than comparing
 * vectors and better: embed to find a hundred candidates, rerank to find the best of them.
 */
export class Reranker {
  /** What is known about the model. Frozen. */
  readonly info: ModelInfo
  readonly #handle: Handle

  /** Frees the model, as `dispose` does. */
  declare readonly [Symbol.dispose]: () => void
  /** Frees the model, and resolves when the calls under way have ended. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>

  private constructor(handle: Handle, key: unknown) {
    if (key !== loading) throw argumentError('Use `await Reranker.load(folder)`: a model takes time to load')
    this.#handle = handle
    this.info = handle.info
  }

  /**
   * Opens a cross-encoder with one label, or an embedding model with `options.adapter`, a LoRA adapter that makes it one.
   *
   * @param model A folder in the layout of transformers (config.json, model.safetensors, tokenizer.json, …).
   * @throws As `Embedder.load`
   */
  static async load(model: string, options?: LoadOptions): Promise<Reranker> {
    return new Reranker(await open('loadReranker', 'Reranker.load', model, options), loading)
  }

  /**
   * Scores documents against a query: best first, in a tie the one that came first. Pairs that are too long are cut, the
   * longer text first; the result's `usage.truncated` names the documents whose pair was.
   *
   * @param documents Strings, or objects with a `text` (or what `options.text` says).
   * @throws ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  async rerank<Document>(
    query: string,
    documents: readonly Document[],
    options?: RerankOptions<Document>,
  ): Promise<WithUsage<Ranked<Document>[]>> {
    return rerank(this.#handle, query, documents, options)
  }

  /** Whether `dispose` was called. */
  get disposed(): boolean {
    return this.#handle.disposed
  }

  /** Frees the model once the calls under way have ended; new calls reject with ERR_DISPOSED. Twice is as good as once. */
  dispose(): void {
    this.#handle.dispose()
  }

  static {
    defineDisposal(Reranker, (reranker) => reranker.#handle.dispose())
  }
}

/**
 * The cosine of the angle between two vectors, -1 to 1; higher is closer.
 *
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError), ERR_BINDING
 */
export function similarity(a: Float32Array, b: Float32Array): number {
  return search.similarity(a, b)
}

/**
 * The `k` rows of `vectors` that are closest to `query` by cosine, best first; in a tie the lower index is first. Exact:
 * every row is compared. Fewer rows than `k` give fewer matches. Do not write to `vectors` before the promise settles.
 *
 * @param query One vector.
 * @param vectors A matrix (rows of `query.length` numbers in one Float32Array), or an array of vectors.
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError), ERR_BINDING
 */
export async function topK(
  query: Float32Array,
  vectors: Float32Array | readonly Float32Array[],
  k: number,
  options?: SearchOptions,
): Promise<Match[]> {
  return search.topK(query, vectors, k, options)
}

/**
 * The instruction sets that this machine can run, slowest first. A model uses the last one, unless the environment
 * variable EMBED_NATIVE_ISA names another when the first model is loaded. Vectors differ between them in the last bits.
 *
 * @throws ERR_BINDING
 */
export function kernels(): string[] {
  return binding().kernels()
}
