/** Sparse embedding: texts in, weights of tokens out. */
import { describe } from './describe.js'
import { PromptedEncoder } from './encoder.js'
import { argumentError } from './errors.js'
import type { Handle } from './handle.js'
import { loading } from './model.js'
import { open } from './requests.js'
import { sparseSink } from './results.js'
import type { LoadOptions, SparseVector } from './types.js'

/** A sparse embedder over a handle: for the modules of this folder, not for users. */
export let sparseEmbedderOf: (handle: Handle) => SparseEmbedder

/**
 * A loaded sparse embedding model (SPLADE, or bge-m3's weights of its own tokens): vectors as wide as a vocabulary, nearly
 * all zero, for an inverted index. Indices are ids of the model's vocabulary of `info.dims` tokens; `similarity` compares two.
 */
export class SparseEmbedder extends PromptedEncoder<SparseVector> {
  static {
    sparseEmbedderOf = (handle) => new SparseEmbedder(handle, loading)
  }

  private constructor(handle: Handle, key: unknown) {
    super('SparseEmbedder', handle, key, (_, total, single) => sparseSink(total, single))
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

  /** `sparseSimilarity` of this module, at hand. */
  similarity(a: SparseVector, b: SparseVector): number {
    return sparseSimilarity(a, b)
  }
}

/**
 * The dot product of two sparse vectors, by which such models are trained to be compared: 0 where they share no token, and
 * no upper limit. Numbers that are none, and infinite ones, are refused.
 *
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError)
 */
export function sparseSimilarity(a: SparseVector, b: SparseVector): number {
  checkSparse('sparseSimilarity: a', a)
  checkSparse('sparseSimilarity: b', b)
  let sum = 0
  for (let i = 0, j = 0; i < a.indices.length && j < b.indices.length; ) {
    const [left, right] = [a.indices[i]!, b.indices[j]!]
    if (left === right) sum += a.values[i++]! * b.values[j++]!
    else if (left < right) i++
    else j++
  }
  return sum
}

function checkSparse(name: string, value: unknown): asserts value is SparseVector {
  const { indices, values } = Object(value) as Partial<SparseVector>
  if (!(indices instanceof Uint32Array && values instanceof Float32Array)) {
    const expected = `${name} must be { indices: Uint32Array, values: Float32Array }, as embedQuery gives`
    throw argumentError(`${expected}, got ${describe(value)}`)
  }
  if (indices.length !== values.length) {
    const lengths = `${indices.length} indices and ${values.length} values`
    throw argumentError(`${name} has ${lengths}; each index needs a value`, RangeError)
  }
  const at = indices.findIndex((index, at) => at > 0 && index <= indices[at - 1]!)
  if (at > 0) throw argumentError(`${name} has indices that do not ascend, at indices[${at}]`, RangeError)
  const odd = values.findIndex((value) => !Number.isFinite(value))
  if (odd >= 0)
    throw argumentError(`${name} holds ${values[odd]}, at values[${odd}]; finite numbers are needed`, RangeError)
}
