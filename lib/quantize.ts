/**
 * Vectors in fewer bytes: whole numbers of 8 bits (a quarter), or a bit a dimension (a thirty-second). The formulas are those
 * of sentence-transformers, `quantize_embeddings` of v6.2.0.
 */
import { describe } from './describe.js'
import { argumentError } from './errors.js'
import { type Check, oneOf } from './options.js'
import type { BinaryVector, Int8Vector, Matrix, Quantized, Ranges, Vector } from './types.js'

const checkPrecision = oneOf(['int8', 'binary'])

/**
 * A vector in fewer bytes.
 *
 * `int8` with `ranges`: the range of each dimension is divided in 255 steps, as sentence-transformers does; numbers outside of
 * it become its ends. `int8` without: the vector's largest number becomes 127, which keeps its direction and needs to know no
 * other vector. `binary`: a bit a dimension, 1 where the number is above 0, the first bit the most significant.
 *
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError)
 */
export function quantize<Precision extends keyof Quantized>(
  vector: Float32Array,
  precision: Precision,
  ranges?: Ranges,
): Quantized[Precision]
export function quantize(vector: Float32Array, precision: keyof Quantized, ranges?: Ranges): Int8Vector | BinaryVector {
  checkFloats('quantize: vector', vector)
  checkPrecision('quantize: precision', precision)
  if (ranges !== undefined) rangesCheck('quantize: ranges', ranges)
  const own = ranges && copyRanges(ranges)
  checkQuantized('quantize', precision, vector.length, own)
  return quantizer(precision, own)(vector)
}

/**
 * The least and the greatest number of each dimension, over vectors like those to come: some thousands of them, embedded as those
 * will be. Keep them with the index: vectors of other ranges do not compare.
 *
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError)
 */
export function calibrate(given: readonly Float32Array[] | Matrix): { min: Vector; max: Vector } {
  const vectors = rowsOf(given)
  for (const [row, vector] of vectors.entries()) {
    checkFloats(`calibrate: vectors[${row}]`, vector, vectors[0]!.length)
  }
  const [min, max] = [vectors[0]!.slice(), vectors[0]!.slice()]
  for (const vector of vectors) {
    for (let at = 0; at < vector.length; at++) {
      min[at] = Math.min(min[at]!, vector[at]!)
      max[at] = Math.max(max[at]!, vector[at]!)
    }
  }
  // JSON would make objects of Float32Arrays.
  const toJSON = (): Ranges => ({ min: Array.from(min), max: Array.from(max) })
  return Object.defineProperty({ min, max }, 'toJSON', { value: toJSON })
}

/** The rows of `output: 'matrix'`, or an array of vectors as it is. */
function rowsOf(given: readonly Float32Array[] | Matrix): readonly Float32Array[] {
  if (Array.isArray(given) && given.length > 0) return given
  const { rows, dims } = Object(given) as Partial<Matrix>
  if (given instanceof Float32Array && rows! >= 1 && given.length === rows! * dims!) {
    return Array.from({ length: rows! }, (_, row) => given.subarray(row * dims!, (row + 1) * dims!))
  }
  const expected = "an array of Float32Arrays that is not empty, or a matrix as output 'matrix' gives"
  throw argumentError(`calibrate: vectors must be ${expected}, got ${describe(given)}`)
}

/** An option that is what `calibrate` gives, or what JSON made of it. */
export const rangesCheck: Check = (name, value) => {
  const { min, max } = (value ?? {}) as Partial<Ranges>
  if (isRange(min) && isRange(max)) return
  throw argumentError(
    `${name} must be what calibrate gives, { min, max } of Float32Arrays or arrays of numbers, got ${describe(value)}`,
  )
}

function isRange(value: unknown): boolean {
  return value instanceof Float32Array || (Array.isArray(value) && value.every((number) => typeof number === 'number'))
}

/** The caller's ranges, as this library's own numbers. */
export function copyRanges({ min, max }: Ranges): { min: Vector; max: Vector } {
  return { min: Float32Array.from(min), max: Float32Array.from(max) }
}

/** Refuses what a vector of `dims` numbers cannot be. */
export function checkQuantized(method: string, output: string, dims: number, ranges?: Ranges): void {
  if (output === 'binary' && dims % 8 !== 0) {
    throw argumentError(`${method}: binary packs 8 dimensions in a byte, and ${dims} are no multiple of 8`, RangeError)
  }
  if (ranges === undefined) return
  if (output !== 'int8') {
    throw argumentError(`${method}: ranges are for "int8", and the vectors are to be ${describe(output)}`)
  }
  checkFloats(`${method}: ranges.min`, ranges.min, dims)
  checkFloats(`${method}: ranges.max`, ranges.max, dims)
}

/** How to write vectors in that form; all was checked. */
export function quantizer<Precision extends keyof Quantized>(
  precision: Precision,
  ranges?: Ranges,
): (vector: Float32Array) => Quantized[Precision]
export function quantizer(precision: keyof Quantized, ranges?: Ranges) {
  if (precision === 'binary') return binary
  return ranges === undefined ? byLargest : (vector: Float32Array) => byRanges(vector, ranges)
}

function byLargest(vector: Float32Array): Int8Vector {
  let largest = 0
  for (const value of vector) largest = Math.max(largest, Math.abs(value))
  const scale = largest === 0 ? 0 : 127 / largest
  return Int8Array.from(vector, (value) => Math.round(value * scale))
}

/** In single precision, step by step as NumPy, so that the numbers are the same. */
function byRanges(vector: Float32Array, { min, max }: Ranges): Int8Vector {
  const { fround } = Math
  return Int8Array.from(vector, (value, at) => {
    const step = fround(fround(max[at]! - min[at]!) / 255) || 1
    return Math.max(0, Math.min(255, Math.floor(fround(fround(value - min[at]!) / step)))) - 128
  })
}

function binary(vector: Float32Array): BinaryVector {
  const bytes = new Uint8Array(vector.length / 8)
  for (let at = 0; at < vector.length; at++) if (vector[at]! > 0) bytes[at >> 3]! |= 0x80 >> (at & 7)
  return bytes
}

function checkFloats(name: string, value: unknown, length?: number): asserts value is Float32Array {
  if (!(value instanceof Float32Array)) throw argumentError(`${name} must be a Float32Array, got ${describe(value)}`)
  if (value.length === 0) throw argumentError(`${name} must not be empty`, RangeError)
  if (length !== undefined && value.length !== length) {
    throw argumentError(`${name} has ${value.length} numbers, and ${length} are needed`, RangeError)
  }
  const odd = value.findIndex((number) => !Number.isFinite(number))
  if (odd >= 0) throw argumentError(`${name}[${odd}] is ${value[odd]}; finite numbers are needed`, RangeError)
}
