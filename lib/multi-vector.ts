/** Late interaction: texts in, a vector for each of their tokens out. */
import type { Errand } from './batch.js'
import { binding, type Rows } from './binding.js'
import type { Sink } from './call.js'
import { describe } from './describe.js'
import { embeddings, streamChecks } from './embeddings.js'
import { argumentError, fromThrown } from './errors.js'
import type { Handle } from './handle.js'
import { handleOf, loading, Model } from './model.js'
import { callback, type Checks, oneOf, readOptions } from './options.js'
import { errandOf, open, requestChecks, run } from './requests.js'
import { rowsSink } from './results.js'
import { copyTexts } from './texts.js'
import type { LoadOptions, Matrix, MultiVectorOptions, StreamOptions, WithUsage } from './types.js'

/** A late-interaction embedder over a handle: for the modules of this folder, not for users. */
export let multiVectorEmbedderOf: (handle: Handle) => MultiVectorEmbedder

/**
 * A loaded late-interaction model (ColBERT, or bge-m3's vectors of tokens): a matrix a text, with a row a token. Queries
 * and documents are read differently; `maxSim` says how well they meet.
 */
export class MultiVectorEmbedder extends Model {
  static {
    multiVectorEmbedderOf = (handle) => new MultiVectorEmbedder(handle, loading)
  }

  private constructor(handle: Handle, key: unknown) {
    super('MultiVectorEmbedder', handle, key)
  }

  /**
   * Opens a late-interaction model in the layout of PyLate, of Stanford's ColBERT or of sentence-transformers 6, or bge-m3
   * with its colbert_linear.safetensors.
   *
   * @throws As `Embedder.load`; ERR_MODEL_UNSUPPORTED for a model that keeps no vectors of tokens
   */
  static async load(model: string, options?: LoadOptions): Promise<MultiVectorEmbedder> {
    return new MultiVectorEmbedder(await open('late', 'MultiVectorEmbedder.load', model, options), loading)
  }

  /**
   * Embeds search queries: with the model's marker, filled up to its length of queries where the model was trained so.
   *
   * @throws ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  async embedQuery(text: string, options?: MultiVectorOptions): Promise<WithUsage<Matrix>>
  async embedQuery(texts: readonly string[], options?: MultiVectorOptions): Promise<WithUsage<Matrix[]>>
  async embedQuery(texts: string | readonly string[], options?: MultiVectorOptions): Promise<unknown> {
    return embed(handleOf(this), 'embedQuery', texts, options, 'query')
  }

  /**
   * Embeds texts to be found: with the model's marker, without the tokens that it leaves out, mostly punctuation.
   *
   * @throws As `embedQuery`
   */
  async embedDocument(text: string, options?: MultiVectorOptions): Promise<WithUsage<Matrix>>
  async embedDocument(texts: readonly string[], options?: MultiVectorOptions): Promise<WithUsage<Matrix[]>>
  async embedDocument(texts: string | readonly string[], options?: MultiVectorOptions): Promise<unknown> {
    return embed(handleOf(this), 'embedDocument', texts, options, 'document')
  }

  /**
   * Embeds the texts of an iterable as they come, as `Embedder.embedStream` does; documents, unless `purpose` says otherwise.
   *
   * @throws As `embedQuery`, and what the source throws
   */
  embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options?: StreamOptions<MultiVectorOptions>,
  ): AsyncGenerator<Matrix, void, undefined> {
    const [handle, method] = [handleOf(this), 'embedStream']
    const checks = streamChecks<MultiVectorOptions>(multiVectorChecks)
    const { purpose = 'document', signal, onProgress, ...rest } = readOptions(method, options, checks)
    const errand = tokensErrand(handle, { priority: 'background', ...rest }, purpose)
    const sink = (count: number): Sink<Rows, unknown> => rowsSink(count, handle.info.dims, false)
    return embeddings(handle, method, texts, { errand, sink, signal, onProgress })
  }

  /** `maxSim` of this module, at hand. */
  maxSim(query: Matrix, document: Matrix): number {
    return maxSim(query, document)
  }
}

/**
 * How well a query and a document meet: for each vector of the query its largest dot product with any of the document's,
 * added up. 0 where either has no vectors. Numbers that are none, and infinite ones, are refused.
 *
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError), ERR_BINDING
 */
export function maxSim(query: Matrix, document: Matrix): number {
  checkMatrix('maxSim: query', query)
  checkMatrix('maxSim: document', document)
  if (query.dims !== document.dims) {
    const message = `maxSim: query has vectors of ${query.dims} numbers and document of ${document.dims}`
    throw argumentError(`${message}; both must come from one model`, RangeError)
  }
  try {
    return binding().maxSim(query, document, query.dims)
  } catch (thrown) {
    throw fromThrown(thrown)
  }
}

function checkMatrix(name: string, value: unknown): asserts value is Matrix {
  const { rows, dims } = Object(value) as Partial<Matrix>
  const shaped = Number.isInteger(rows) && Number.isInteger(dims) && dims! >= 1
  if (value instanceof Float32Array && shaped && value.length === rows! * dims!) return
  throw argumentError(`${name} must be a Float32Array with rows and dims, as embedQuery gives, got ${describe(value)}`)
}

const multiVectorChecks: Checks<MultiVectorOptions> = {
  onOverflow: oneOf(['truncate', 'error', 'chunk']),
  ...requestChecks,
  onProgress: callback,
}

async function embed(
  handle: Handle,
  method: string,
  given: unknown,
  asked: unknown,
  purpose: 'query' | 'document',
): Promise<unknown> {
  const options = readOptions<MultiVectorOptions>(method, asked, multiVectorChecks)
  const texts = copyTexts(method, given)
  const errand = tokensErrand(handle, options, purpose)
  const sink = rowsSink(texts.length, handle.info.dims, typeof given === 'string')
  return run({ handle, method, texts, sink, options, errand })
}

function tokensErrand(
  handle: Handle,
  { onOverflow: overflow, truncationSide, priority }: MultiVectorOptions,
  purpose: 'query' | 'document',
): Errand {
  return errandOf(handle, { purpose, overflow, truncationSide, priority })
}
