/** Late interaction: texts in, a vector for each of their tokens out. */
import { binding } from './binding.js'
import { describe } from './describe.js'
import { Encoder, type Reading } from './encoder.js'
import { argumentError, fromThrown } from './errors.js'
import type { Handle } from './handle.js'
import { loading } from './model.js'
import { callback, oneOf } from './options.js'
import { errandOf, open, requestChecks } from './requests.js'
import { rowsSink } from './results.js'
import type { LoadOptions, Matrix, MultiVectorOptions } from './types.js'

/** A late-interaction embedder over a handle: for the modules of this folder, not for users. */
export let multiVectorEmbedderOf: (handle: Handle) => MultiVectorEmbedder

/**
 * A loaded late-interaction model (ColBERT, or bge-m3's vectors of tokens): a matrix a text, with a row a token. Queries
 * and documents are read differently: a query behind the model's marker for it and filled up to its length of queries where
 * the model was trained so, a document behind its own and without the tokens that the model leaves out, mostly punctuation.
 * `maxSim` says how well they meet.
 */
export class MultiVectorEmbedder extends Encoder<Matrix, MultiVectorOptions> {
  static {
    multiVectorEmbedderOf = (handle) => new MultiVectorEmbedder(handle, loading)
  }

  private constructor(handle: Handle, key: unknown) {
    super('MultiVectorEmbedder', handle, key, reading)
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

const reading: Reading<MultiVectorOptions> = {
  checks: {
    onOverflow: oneOf(['truncate', 'error', 'chunk']),
    ...requestChecks,
    onProgress: callback,
  },
  streamed: 'document',
  errand: (handle, { onOverflow: overflow, truncationSide, priority }, purpose) =>
    errandOf(handle, { purpose, overflow, truncationSide, priority }),
  sink: ({ info }, total, single) => rowsSink(total, info.dims, single),
}
