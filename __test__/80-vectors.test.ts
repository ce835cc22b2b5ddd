/** Chapter 12: comparing vectors, against a plain loop. */
import { Embedder, type Match, similarity, topK } from '@x/embed-native'
import { expect, test } from 'vitest'

import { loadTiny, plainCosine, random, refusal } from './support.js'

const next = random(7)
const randomVector = (dims: number): Float32Array => Float32Array.from({ length: dims }, () => next() * 2 - 1)

/** What topK must find: all rows by cosine, ties by index. */
function plainTopK(query: Float32Array, rows: readonly Float32Array[], k: number): Match[] {
  const all = rows.map((row, index) => ({ index, score: plainCosine(query, row) }))
  return all.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, k)
}

function flatten(rows: readonly Float32Array[], dims: number): Float32Array {
  const matrix = new Float32Array(rows.length * dims)
  for (const [index, row] of rows.entries()) matrix.set(row, index * dims)
  return matrix
}

test.each([1, 2, 7, 8, 9, 31, 32, 33, 48, 384, 1024])('similarity of %i numbers: as a plain loop', (dims) => {
  for (let round = 0; round < 10; round++) {
    const [a, b] = [randomVector(dims), randomVector(dims)]
    expect(similarity(a, b)).toBeCloseTo(plainCosine(a, b), 5)
  }
})

test('similarity: of itself, of the opposite, of a longer one in the same direction', () => {
  const a = randomVector(48)
  expect(similarity(a, a)).toBeCloseTo(1, 6)
  expect(
    similarity(
      a,
      a.map((value) => -value),
    ),
  ).toBeCloseTo(-1, 6)
  expect(
    similarity(
      a,
      a.map((value) => 3 * value),
    ),
  ).toBeCloseTo(1, 6)
})

const shapes: [rows: number, dims: number, k: number][] = [
  [1, 1, 1],
  [3, 5, 10],
  [100, 48, 1],
  [100, 48, 100],
  [1000, 33, 17],
  [50_000, 16, 25],
]

test.each(
  shapes,
)('topK of %i rows of %i numbers, k = %i: as a plain loop, from a matrix and from an array', async (count, dims, k) => {
  const rows = Array.from({ length: count }, () => randomVector(dims))
  const query = randomVector(dims)
  const expected = plainTopK(query, rows, k)
  for (const vectors of [rows, flatten(rows, dims)]) {
    const found = await topK(query, vectors, k)
    expect(found.length).toBe(Math.min(k, count))
    for (const [rank, { index, score }] of found.entries()) {
      expect(score, `rank ${rank}`).toBeCloseTo(expected[rank]!.score, 5)
      expect(score, `rank ${rank}: its own row`).toBeCloseTo(plainCosine(query, rows[index]!), 5)
    }
    expect(new Set(found.map(({ index }) => index)).size, 'each row once').toBe(found.length)
  }
})

test('ties: the lower index is first, across slices too', async () => {
  const query = Float32Array.of(1, 0)
  const rows = new Float32Array(300_000 * 2)
  for (const row of [5, 70_000, 150_000, 299_999]) rows.set([2, 0], row * 2)
  for (let row = 0; row < 300_000; row++) if (rows[row * 2] === 0) rows[row * 2 + 1] = 1
  const found = await topK(query, rows, 6)
  expect(found.map(({ index }) => index)).toEqual([5, 70_000, 150_000, 299_999, 0, 1])
})

test('no rows: no matches', async () => {
  expect(await topK(Float32Array.of(1), [], 3)).toEqual([])
  expect(await topK(Float32Array.of(1), new Float32Array(0), 3)).toEqual([])
})

test('the methods are the functions', async () => {
  const embedder = await loadTiny()
  const vectors = await embedder.embed(['red fox', 'blue whale', 'red fox'])
  expect(embedder.similarity(vectors[0]!, vectors[1]!)).toBe(similarity(vectors[0]!, vectors[1]!))
  expect(await embedder.topK(vectors[0]!, vectors, 3)).toEqual(await topK(vectors[0]!, vectors, 3))
  expect((await topK(vectors[2]!, vectors, 2)).map(({ index }) => index)).toEqual([0, 2])
})

test('topK of all of many rows ends soon: slices do not shrink with the list of the best', async () => {
  const [count, query] = [300_000, Float32Array.of(1, 0)]
  const found = await topK(query, Float32Array.from({ length: 2 * count }, next), count)
  expect(found.length).toBe(count)
  expect(found.every(({ score }, at) => at === 0 || score <= found[at - 1]!.score)).toBe(true)
})

// biome-ignore lint/suspicious/noExplicitAny: wrong arguments are the subject
const wrong: [string, [any, any, any], RegExp][] = [
  ['a query of numbers', [[1, 2], new Float32Array(2), 1], /query must be a Float32Array \(Float32Array\.from/],
  ['a query of doubles', [new Float64Array(2), new Float32Array(2), 1], /query must be a Float32Array/],
  ['an empty query', [new Float32Array(0), new Float32Array(2), 1], /query must not be empty/],
  ['no vectors', [new Float32Array(2), undefined, 1], /vectors must be a Float32Array or an array of them/],
  ['part of a row', [new Float32Array(2), new Float32Array(3), 1], /3 numbers, which is no multiple of the query's 2/],
  [
    'another length',
    [new Float32Array(2), [new Float32Array(2), new Float32Array(3)], 1],
    /vectors\[1\] has 3 numbers/,
  ],
  ['a hole', [new Float32Array(2), new Array(2), 1], /vectors\[0\] must be a Float32Array/],
]

test.each(wrong)('topK refuses %s', async (_, [query, vectors, k], says) => {
  const error = await refusal(topK(query, vectors, k))
  expect(error.code).toBe('ERR_INVALID_ARGUMENT')
  expect(error.message).toMatch(says)
})

test('similarity refuses at once: it is synchronous', () => {
  expect(() => similarity(new Float32Array(2), new Float32Array(3))).toThrowError(RangeError)
  expect(() => similarity([1] as never, new Float32Array(1))).toThrowError(/a must be a Float32Array/)
  expect(Embedder.prototype.similarity.length).toBe(2)
})

test('vectors that are transferred away under a search end it', async () => {
  const matrix = new Float32Array(2 ** 21)
  const searched = topK(new Float32Array(4), matrix, 1)
  structuredClone(matrix.buffer, { transfer: [matrix.buffer] })
  expect(await refusal(searched)).toMatchObject({
    code: 'ERR_INVALID_ARGUMENT',
    message: expect.stringContaining('transferred'),
  })
})

test('similarity at the ends of the range of numbers', () => {
  for (const [large, small] of [
    [3e38, 1e-38],
    [1e-45, 1e-45],
    [3e38, 3e38],
  ] as const) {
    expect(similarity(Float32Array.of(large, large, 0), Float32Array.of(small, 0, small))).toBeCloseTo(0.5, 6)
  }
})
