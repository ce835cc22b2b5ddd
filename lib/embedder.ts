/** Embedding: texts in, one vector each out. */
import { type Errand, inLine } from './batch.js'
import type { NativeEmbedOptions, Rows } from './binding.js'
import type { CallOptions, Request, Sink } from './call.js'
import { embeddings, streamChecks } from './embeddings.js'
import type { Handle } from './handle.js'
import { handleOf, loading, Model } from './model.js'
import { callback, type Checks, flag, oneOf, prompt, readOptions, wholeNumber } from './options.js'
import { checkQuantized, copyRanges, rangesCheck } from './quantize.js'
import { errandOf, open, promptOf, requestChecks, run } from './requests.js'
import { embedSink, type Form } from './results.js'
import { copyTexts } from './texts.js'
import type {
  AnyVector,
  EmbedOptions,
  EmbedStreamOptions,
  LoadOptions,
  Match,
  OutputName,
  Ranges,
  SearchOptions,
  Several,
  Single,
  Streamed,
  StreamOutputName,
} from './types.js'
import { similarity, topK } from './vectors.js'

/** The model of `Embedder.load()`. */
const DEFAULT_MODEL = 'sentence-transformers/all-MiniLM-L6-v2'

/** An embedder over a handle: for the modules of this folder, not for users. */
export let embedderOf: (handle: Handle) => Embedder

/**
 * A loaded model. Calls made in one turn of the event loop share a batch; a large call is cut into parts and never blocks
 * the event loop. Equal texts give equal bits, alone or in any batch (`info.batchInvariant`).
 */
export class Embedder extends Model {
  static {
    embedderOf = (handle) => new Embedder(handle, loading)
  }

  private constructor(handle: Handle, key: unknown) {
    super('Embedder', handle, key)
  }

  /**
   * Opens a model. Files are read on another thread, and closed again; models loaded twice share their weights.
   *
   * @param model A folder in the layout of sentence-transformers (config.json, model.safetensors, tokenizer.json, …), or a
   *   name as on the Hugging Face hub (`org/name`), of which the files that are needed are downloaded, checked and kept. A
   *   folder of that name wins.
   * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FILE, ERR_MODEL_UNSUPPORTED, ERR_TOKENIZER, ERR_DEVICE, ERR_UNSUPPORTED,
   *   ERR_BINDING, ERR_SETTINGS, ERR_MEMORY; by name also ERR_NETWORK, ERR_HTTP, ERR_AUTH, ERR_OFFLINE, ERR_INTEGRITY, ERR_DISK
   */
  static async load(model: string = DEFAULT_MODEL, options?: LoadOptions): Promise<Embedder> {
    return new Embedder(await open('embed', 'Embedder.load', model, options), loading)
  }

  /**
   * Embeds texts as they are, or after `options.prompt`. One text gives one vector of `info.dims` numbers, an array gives
   * an array in its order; `options.output` chooses other forms. The result's `usage` says how many tokens were computed
   * and which texts were cut.
   *
   * @throws ERR_PROMPT, ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  embed<Output extends OutputName = 'float32'>(text: string, options?: EmbedOptions<Output>): Promise<Single[Output]>
  embed<Output extends OutputName = 'float32'>(
    texts: readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Several[Output]>
  embed<Output extends OutputName = 'float32'>(
    texts: string | readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output] | Several[Output]>
  embed(texts: string | readonly string[], options?: EmbedOptions): Promise<unknown> {
    return embed(this, 'embed', texts, options)
  }

  /** Like `embed`, for search queries: with the model's query prompt where it has one, and none otherwise. */
  embedQuery<Output extends OutputName = 'float32'>(
    text: string,
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output]>
  embedQuery<Output extends OutputName = 'float32'>(
    texts: readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Several[Output]>
  embedQuery<Output extends OutputName = 'float32'>(
    texts: string | readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output] | Several[Output]>
  embedQuery(texts: string | readonly string[], options?: EmbedOptions): Promise<unknown> {
    return embed(this, 'embedQuery', texts, options, 'query')
  }

  /** Like `embed`, for texts to be found: with the model's document prompt where it has one, and none otherwise. */
  embedDocument<Output extends OutputName = 'float32'>(
    text: string,
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output]>
  embedDocument<Output extends OutputName = 'float32'>(
    texts: readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Several[Output]>
  embedDocument<Output extends OutputName = 'float32'>(
    texts: string | readonly string[],
    options?: EmbedOptions<Output>,
  ): Promise<Single[Output] | Several[Output]>
  embedDocument(texts: string | readonly string[], options?: EmbedOptions): Promise<unknown> {
    return embed(this, 'embedDocument', texts, options, 'document')
  }

  /**
   * Embeds the texts of an iterable as they come, and yields the vectors in their order. Only a few hundred texts are in memory
   * at a time: a slow reader slows the source down. Ending the loop early ends the source, and drops work that has not begun.
   *
   * @throws As `embed`, and what the source throws
   */
  embedStream<Output extends StreamOutputName = 'float32'>(
    texts: Iterable<string> | AsyncIterable<string>,
    options?: EmbedStreamOptions<Output>,
  ): AsyncGenerator<Streamed[Output], void, undefined> {
    return embedStream(handleOf(this), texts, options)
  }

  /** `similarity` of this module, at hand. */
  similarity<V extends AnyVector>(a: V, b: V): number {
    return similarity(a, b)
  }

  /** `topK` of this module, at hand. */
  async topK<V extends AnyVector>(
    query: V,
    vectors: V | readonly V[],
    k: number,
    options?: SearchOptions,
  ): Promise<Match[]> {
    return topK(query, vectors, k, options)
  }
}

/** What texts are for: chooses the model's own prompt. */
type Purpose = 'query' | 'document'

function embedChecks(dims: number): Checks<EmbedOptions> {
  return {
    prompt,
    dimensions: wholeNumber(1, dims),
    normalize: flag,
    output: oneOf(['float32', 'matrix', 'array', 'int8', 'binary']),
    ranges: rangesCheck,
    onOverflow: oneOf(['truncate', 'error', 'chunk']),
    ...requestChecks,
    onProgress: callback,
  }
}

function embedStreamChecks(dims: number): Checks<EmbedStreamOptions> {
  return { ...streamChecks(embedChecks(dims)), output: oneOf(['float32', 'array', 'int8', 'binary']) }
}

/** Embeds; `method` is the name that messages give. One promise a call, as there may be thousands: it rejects, and never throws. */
function embed(model: Embedder, method: string, given: unknown, asked: unknown, purpose?: Purpose): Promise<unknown> {
  try {
    return run(embedding(handleOf(model), method, given, asked, purpose))
  } catch (error) {
    return Promise.reject(error)
  }
}

function embedding(
  handle: Handle,
  method: string,
  given: unknown,
  asked: unknown,
  purpose?: Purpose,
): Request<Rows, unknown> {
  const { form, options, errand } =
    asked === undefined ? plainWay(handle, method, purpose) : wayOf(handle, method, asked, purpose)
  const texts = copyTexts(method, given)
  const sink = embedSink(form, texts.length, typeof given === 'string')
  return { handle, method, texts, sink, options, errand }
}

/** What the options of a call come to. */
interface Way {
  readonly form: Form
  readonly options: CallOptions
  readonly errand: Errand
}

function wayOf(handle: Handle, method: string, asked: unknown, purpose?: Purpose): Way {
  const { output = 'float32', ranges, ...options } = readOptions(method, asked, embedChecks(handle.info.dims))
  const form = formOf(method, output, options.dimensions ?? handle.info.dims, ranges)
  return { form, options, errand: errandOf(handle, toNative(handle, options, purpose)) }
}

const plainWays = new WeakMap<Handle, Map<Purpose | undefined, Way>>()

/** The way of calls without options: made once, as thousands of them may be made in one turn. */
function plainWay(handle: Handle, method: string, purpose?: Purpose): Way {
  const known = plainWays.get(handle) ?? new Map<Purpose | undefined, Way>()
  const way = known.get(purpose) ?? wayOf(handle, method, {}, purpose)
  plainWays.set(handle, known.set(purpose, way))
  return way
}

function embedStream<Output extends StreamOutputName>(
  handle: Handle,
  texts: Iterable<string> | AsyncIterable<string>,
  options: unknown,
): AsyncGenerator<Streamed[Output], void, undefined> {
  const method = 'embedStream'
  const checks = embedStreamChecks(handle.info.dims)
  const { output = 'float32', ranges, purpose, ...settings } = readOptions<EmbedStreamOptions>(method, options, checks)
  const form = formOf(method, output, settings.dimensions ?? handle.info.dims, ranges)
  const { signal, onProgress, ...rest } = settings
  const errand = inLine(errandOf(handle, toNative(handle, { priority: 'background', ...rest }, purpose)))
  const sink = (count: number): Sink<Rows, unknown> => embedSink(form, count, false)
  return embeddings(handle, method, texts, { errand, sink, signal, onProgress })
}

function formOf(method: string, output: OutputName, dims: number, ranges?: Ranges): Form {
  const own = ranges && copyRanges(ranges)
  checkQuantized(method, output, dims, own)
  return { output, dims, ...(own && { ranges: own }) }
}

function toNative(handle: Handle, options: EmbedOptions, purpose?: Purpose): NativeEmbedOptions {
  const { prompt, dimensions, normalize, onOverflow: overflow, truncationSide, priority } = options
  return { dimensions, normalize, overflow, truncationSide, priority, ...promptOf(handle, prompt, purpose) }
}
