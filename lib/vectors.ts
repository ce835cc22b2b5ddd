/**
 * Comparing vectors without a database: exact, on the CPU, on this thread. A search is cut into slices of about two
 * milliseconds with a turn of the event loop between them, so that a million rows block nothing.
 */
import { throwIfAborted } from './abort.js'
import { binding, type TopRows } from './binding.js'
import { describe } from './describe.js'
import { argumentError, fromThrown } from './errors.js'
import { readOptions, signal, wholeNumber } from './options.js'
import { BUDGET, nextTurn } from './turns.js'
import type { AnyVector, Match, SearchOptions } from './types.js'

/** Numbers in the first slice of a search: well below a millisecond on any machine. */
const FIRST_SLICE = 2 ** 17

/** So many matches are made in one turn. */
const MATCHES_PER_TURN = 16_384

const checkCount = wholeNumber(1, 0xffff_ffff)

/** A kind of vectors: its class, and the method that compares a query with rows of that kind. */
type Kind = readonly [make: new (length: number) => AnyVector, method: 'topK' | 'topKInt8' | 'topKBinary']

const KINDS: readonly Kind[] = [
  [Float32Array, 'topK'],
  [Int8Array, 'topKInt8'],
  [Uint8Array, 'topKBinary'],
]

/**
 * The cosine of the angle between two vectors of one kind, -1 to 1; higher is closer. Bits stand for -1 and 1.
 *
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError), ERR_BINDING
 */
export function similarity<V extends AnyVector>(a: V, b: V): number {
  const kind = kindOf('similarity: a', a)
  checkVector('similarity: b', b, kind)
  if (a.length !== b.length) {
    throw argumentError(
      `similarity: a has ${a.length} numbers and b ${b.length}; both must come from one model`,
      RangeError,
    )
  }
  try {
    const [, method] = kind
    return method === 'topK' ? binding().similarity(a, b) : binding()[method](a, b, 1).scores[0]!
  } catch (thrown) {
    throw fromThrown(thrown)
  }
}

/**
 * The `k` rows of `vectors` that are closest to `query` by cosine, best first; in a tie the lower index is first. Exact:
 * every row is compared. Fewer rows than `k` give fewer matches. Do not write to `vectors` before the promise settles.
 *
 * @param query One vector: numbers, or what `output: 'int8'` or `'binary'` gives.
 * @param vectors A matrix (rows of `query.length` elements in one array), or an array of vectors, of the query's kind.
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError), ERR_BINDING
 */
export async function topK<V extends AnyVector>(
  query: V,
  vectors: V | readonly V[],
  k: number,
  options?: SearchOptions,
): Promise<Match[]> {
  const kind = kindOf('topK: query', query)
  checkCount('topK: k', k)
  const stop = readOptions<SearchOptions>('topK', options, { signal }).signal
  throwIfAborted(stop)
  return matches(await search(query.slice(), kind, rowsOf(vectors, kind, query.length), k, stop), stop)
}
/** Rows of vectors, however they are stored. */
interface Table {
  readonly rows: number
  /** Rows `from` … `to`, one after the other. */
  slice(from: number, to: number): AnyVector
}

function rowsOf(vectors: unknown, kind: Kind, dims: number): Table {
  if (Array.isArray(vectors)) return arrayRows(vectors.slice(), kind, dims)
  checkVector('topK: vectors', vectors, kind, ' or an array of them')
  return matrixRows(vectors, dims)
}

function matrixRows(matrix: AnyVector, dims: number): Table {
  if (matrix.length % dims !== 0) {
    const message = `topK: vectors has ${matrix.length} numbers, which is no multiple of the query's ${dims}`
    throw argumentError(message, RangeError)
  }
  const { length } = matrix
  const slice = (from: number, to: number): AnyVector => {
    if (matrix.length !== length) throw argumentError('topK: vectors was transferred while it was searched')
    return matrix.subarray(from * dims, to * dims)
  }
  return { rows: length / dims, slice }
}

function arrayRows(vectors: unknown[], kind: Kind, dims: number): Table {
  const slice = (from: number, to: number): AnyVector => {
    const rows = new kind[0]((to - from) * dims)
    for (let row = from; row < to; row++) rows.set(checkRow(vectors[row], row, kind, dims), (row - from) * dims)
    return rows
  }
  return { rows: vectors.length, slice }
}

function checkRow(vector: unknown, row: number, kind: Kind, dims: number): AnyVector {
  checkVector(`topK: vectors[${row}]`, vector, kind)
  if (vector.length === dims) return vector
  throw argumentError(`topK: vectors[${row}] has ${vector.length} numbers and the query ${dims}`, RangeError)
}

/** The kind of the vector that the others must be like. */
function kindOf(name: string, value: unknown): Kind {
  const kind = KINDS.find(([make]) => value instanceof make)
  if (kind === undefined) {
    const names = 'a Float32Array (Float32Array.from(numbers) makes one), an Int8Array, or a Uint8Array of bits'
    throw argumentError(`${name} must be ${names}, got ${describe(value)}`)
  }
  if ((value as AnyVector).length === 0) throw argumentError(`${name} must not be empty`, RangeError)
  return kind
}

function checkVector(name: string, value: unknown, [make]: Kind, or = ''): asserts value is AnyVector {
  if (value instanceof make) return
  const article = make === Int8Array ? 'an' : 'a'
  throw argumentError(`${name} must be ${article} ${make.name}${or}, like the other, got ${describe(value)}`)
}

/** The best rows of a table, slice by slice; the slices grow or shrink with the time they take. */
async function search(query: AnyVector, kind: Kind, table: Table, k: number, stop?: AbortSignal): Promise<TopRows> {
  let best: TopRows = { indices: new Uint32Array(0), scores: new Float32Array(0) }
  let size = Math.max(1, Math.floor(FIRST_SLICE / query.length))
  for (let from = 0; from < table.rows; ) {
    const to = Math.min(from + size, table.rows)
    const start = performance.now()
    const found = bestOf(query, kind, table.slice(from, to), k)
    // Without the time of the merge, which grows with `k`: smaller slices would only make more of them.
    size = nextSize(size, performance.now() - start)
    best = merge(best, found, from, k)
    from = to
    if (from < table.rows) await nextTurn()
    throwIfAborted(stop)
  }
  return best
}

function bestOf(query: AnyVector, [, method]: Kind, rows: AnyVector, k: number): TopRows {
  try {
    return binding()[method](query, rows, Math.min(k, rows.length / query.length))
  } catch (thrown) {
    throw fromThrown(thrown)
  }
}

function nextSize(size: number, took: number): number {
  if (took > BUDGET) return Math.max(1, size >> 1)
  return took < BUDGET / 4 ? size * 2 : size
}

/** Two sorted lists as one of at most `k`. Rows of `b` come later in the table, so in a tie `a` goes first. */
function merge(a: TopRows, b: TopRows, offset: number, k: number): TopRows {
  const length = Math.min(k, a.scores.length + b.scores.length)
  const merged = { indices: new Uint32Array(length), scores: new Float32Array(length) }
  for (let i = 0, j = 0, to = 0; to < length; to++) {
    const first = j === b.scores.length || (i < a.scores.length && a.scores[i]! >= b.scores[j]!)
    merged.scores[to] = first ? a.scores[i]! : b.scores[j]!
    merged.indices[to] = first ? a.indices[i++]! : b.indices[j++]! + offset
  }
  return merged
}

async function matches({ indices, scores }: TopRows, stop?: AbortSignal): Promise<Match[]> {
  const found: Match[] = []
  for (let at = 0; at < scores.length; at++) {
    if (at > 0 && at % MATCHES_PER_TURN === 0) await nextTurn()
    throwIfAborted(stop)
    found.push({ index: indices[at]!, score: scores[at]! })
  }
  return found
}
