/**
 * From a job's rows to what the user asked for. Every vector owns its buffer, one of V8's own: a view
 * would keep the whole job in memory, and the engine's memory may not be handed out in Electron.
 */
import type { Rows } from './binding.js'
import type { Sink } from './call.js'
import { quantizer } from './quantize.js'
import type { HybridVector, Label, Matrix, OutputName, Ranges, SparseVector, Vector, WithUsage } from './types.js'

/** How a call's rows are gathered. */
export interface Form {
  readonly output: OutputName
  readonly ranges?: Ranges
  /** Numbers in a vector. */
  readonly dims: number
}

/** Gathers the rows of `total` texts; `single` if the user gave one text alone. */
export function embedSink({ output, ranges, dims }: Form, total: number, single: boolean): Sink<Rows, unknown> {
  if (output === 'matrix') return new MatrixSink(total, dims)
  if (output === 'array') return new VectorSink(total, single, numbers)
  if (output === 'float32') return new VectorSink(total, single, vector)
  const quantized: (vector: Float32Array) => object = quantizer(output, ranges)
  return new VectorSink(total, single, (rows, row) => quantized(view(rows, row)))
}

const NONE: readonly number[] = Object.freeze([])

/** Counts tokens and time over the rows of a call. */
class Tally {
  #tokens = 0
  #truncated: number[] | undefined
  #queue = 0
  #tokenization = 0
  #inference = 0

  add({ tokens, truncated, times }: Rows, start: number, at: number, count: number): void {
    const own = sum(tokens.subarray(start, start + count))
    const share = own / (sum(tokens) || 1)
    this.#tokens += own
    this.#queue += times[0]!
    this.#tokenization += times[1]! * share
    this.#inference += times[2]! * share
    for (const row of truncated) if (row >= start && row < start + count) this.#cut(at + row - start)
  }

  #cut(text: number): void {
    this.#truncated ??= []
    this.#truncated.push(text)
  }

  /** The result of a call that took `total` milliseconds, with what it cost. */
  mark<Result extends object>(result: Result, total: number): WithUsage<Result> {
    const truncated = this.#truncated ? Object.freeze(this.#truncated.sort((a, b) => a - b)) : NONE
    const [queue, tokenization, inference] = [this.#queue, this.#tokenization, this.#inference]
    const timing = Object.freeze({ total, queue, tokenization, inference })
    return withUsage(result, { usage: Object.freeze({ tokens: this.#tokens, truncated }), timing })
  }
}

function sum(values: Uint32Array): number {
  let total = 0
  for (const value of values) total += value
  return total
}

/** A result with what it cost, which shows neither in JSON nor in comparisons. */
export function withUsage<Result extends object>(
  result: Result,
  { usage, timing }: Pick<WithUsage<unknown>, 'usage' | 'timing'>,
): WithUsage<Result> {
  return Object.defineProperties(result, { usage: { value: usage }, timing: { value: timing } }) as WithUsage<Result>
}

/** One value a text. Thousands may wait at once, so it holds little before rows come. */
class VectorSink<Value extends object> implements Sink<Rows, WithUsage<Value | Value[]>> {
  #tally: Tally | undefined
  #values: Value[] | undefined
  readonly #total: number
  readonly #single: boolean
  readonly #pick: (rows: Rows, row: number) => Value

  constructor(total: number, single: boolean, pick: (rows: Rows, row: number) => Value) {
    this.#total = total
    this.#single = single
    this.#pick = pick
  }

  take(rows: Rows, start: number, at: number, count: number): void {
    this.#tally ??= new Tally()
    this.#values ??= new Array(this.#total)
    for (let row = 0; row < count; row++) this.#values[at + row] = this.#pick(rows, start + row)
    this.#tally.add(rows, start, at, count)
  }

  finish(total: number): WithUsage<Value | Value[]> {
    const [tally, values] = [this.#tally ?? new Tally(), this.#values ?? []]
    return tally.mark(this.#single ? values[0]! : values, total)
  }
}

/** Where the values of a row lie, where rows differ in length. */
function extent(ends: Uint32Array, row: number): [number, number] {
  return [row === 0 ? 0 : ends[row - 1]!, ends[row]!]
}

/** Gathers a list of scored labels a text, best first. */
export function labelSink(
  labels: readonly string[],
  topN: number,
  total: number,
  single: boolean,
): Sink<Rows, WithUsage<Label[] | Label[][]>> {
  const list = ({ matrix, dims }: Rows, row: number): Label[] =>
    labels
      .map((label, at) => ({ label, score: matrix[row * dims + at]!, at }))
      .sort((a, b) => b.score - a.score || a.at - b.at)
      .slice(0, topN)
      .map(({ label, score }) => ({ label, score }))
  return new VectorSink(total, single, list)
}

/** Gathers a sparse vector a text. */
export function sparseSink(total: number, single: boolean): Sink<Rows, WithUsage<SparseVector | SparseVector[]>> {
  return new VectorSink(total, single, (rows, row) => {
    const indices = rows.indices.slice(...extent(rows.indexEnds, row))
    return { indices, values: rows.matrix.slice(...extent(rows.ends, row)) }
  })
}

/** Gathers a vector, weights and a matrix a text: `dims` are the vector's. */
export function hybridSink(
  total: number,
  dims: number,
  single: boolean,
): Sink<Rows, WithUsage<HybridVector | HybridVector[]>> {
  return new VectorSink(total, single, (rows, row) => {
    const indices = rows.indices.slice(...extent(rows.indexEnds, row))
    const [from, to] = extent(rows.ends, row)
    const weights = from + dims
    const vectors = weights + indices.length
    return {
      dense: rows.matrix.slice(from, weights),
      sparse: { indices, values: rows.matrix.slice(weights, vectors) },
      multiVector: shaped(rows.matrix.slice(vectors, to), (to - vectors) / rows.dims, rows.dims),
    }
  })
}

/** Gathers a matrix a text. */
export function rowsSink(total: number, dims: number, single: boolean): Sink<Rows, WithUsage<Matrix | Matrix[]>> {
  return new VectorSink(total, single, (rows, row) => {
    const values = rows.matrix.slice(...extent(rows.ends, row))
    return shaped(values, values.length / dims, dims)
  })
}

/** Numbers with the shape of a matrix, which shows neither in JSON nor in comparisons. */
function shaped(values: Vector, rows: number, dims: number): Matrix {
  return Object.defineProperties(values, { rows: { value: rows }, dims: { value: dims } }) as unknown as Matrix
}

/** One Float32Array for all texts. */
class MatrixSink implements Sink<Rows, Matrix> {
  readonly #tally = new Tally()
  readonly #total: number
  readonly #dims: number
  #matrix: Vector | undefined

  constructor(total: number, dims: number) {
    this.#total = total
    this.#dims = dims
  }

  take(rows: Rows, start: number, at: number, count: number): void {
    this.#matrix ??= new Float32Array(this.#total * rows.dims)
    this.#matrix.set(rows.matrix.subarray(start * rows.dims, (start + count) * rows.dims), at * rows.dims)
    this.#tally.add(rows, start, at, count)
  }

  finish(total: number): WithUsage<Matrix> {
    return this.#tally.mark(shaped(this.#matrix ?? new Float32Array(0), this.#total, this.#dims), total)
  }
}

function vector({ matrix, dims }: Rows, row: number): Vector {
  return matrix.slice(row * dims, (row + 1) * dims)
}

function view({ matrix, dims }: Rows, row: number): Float32Array {
  return matrix.subarray(row * dims, (row + 1) * dims)
}

function numbers(rows: Rows, row: number): number[] {
  return Array.from(view(rows, row))
}

/** Gathers one score a document. */
export class ScoreSink implements Sink<Rows, WithUsage<number[]>> {
  readonly #tally = new Tally()
  readonly #scores: number[]

  constructor(total: number) {
    this.#scores = new Array(total)
  }

  take(rows: Rows, start: number, at: number, count: number): void {
    for (let row = 0; row < count; row++) this.#scores[at + row] = rows.matrix[start + row]!
    this.#tally.add(rows, start, at, count)
  }

  finish(total: number): WithUsage<number[]> {
    return this.#tally.mark(this.#scores, total)
  }
}

/** Gathers token counts. */
export class CountSink implements Sink<Rows, number[]> {
  readonly #counts: number[]

  constructor(total: number) {
    this.#counts = new Array(total)
  }

  take({ tokens }: Rows, start: number, at: number, count: number): void {
    for (let row = 0; row < count; row++) this.#counts[at + row] = tokens[start + row]!
  }

  finish(): number[] {
    return this.#counts
  }
}
