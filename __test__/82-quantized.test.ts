/** Chapter 13: vectors in fewer bytes, against sentence-transformers and a plain loop. */
import { type AnyVector, calibrate, type Matrix, quantize, similarity, topK } from '@x/embed-native'
import { expect, test } from 'vitest'

import { loadTiny, mixedTexts, plainCosine, random, readJson, refusal } from './support.js'

interface Reference {
  vectors: number[][]
  calibration: number[][]
  int8: number[][]
  binary: number[][]
}

const reference = readJson<Reference>('quantized.json')
const vectors = reference.vectors.map((row) => Float32Array.from(row))
const ranges = calibrate(reference.calibration.map((row) => Float32Array.from(row)))

test('with ranges, int8 is what sentence-transformers makes, to the last number', () => {
  expect(vectors.map((vector) => Array.from(quantize(vector, 'int8', ranges)))).toEqual(reference.int8)
})

test('ranges come from a matrix too, and outlive JSON', () => {
  const rows = reference.calibration
  const matrix = Object.assign(Float32Array.from(rows.flat()), { rows: rows.length, dims: rows[0]!.length }) as Matrix
  expect(calibrate(matrix)).toEqual(ranges)
  const kept = JSON.parse(JSON.stringify(ranges)) as typeof ranges
  expect(vectors.map((vector) => Array.from(quantize(vector, 'int8', kept)))).toEqual(reference.int8)
  expect(() => calibrate(Float32Array.of(1, 2) as Matrix)).toThrow(/a matrix as output 'matrix' gives/)
  const odd = { min: [1, Number.NaN], max: [2, 2] }
  expect(() => quantize(Float32Array.of(1, 2), 'int8', odd)).toThrow(/ranges\.min\[1\] is NaN/)
})

test('binary is what sentence-transformers makes', () => {
  expect(vectors.map((vector) => Array.from(quantize(vector, 'binary')))).toEqual(reference.binary)
})

test('without ranges, int8 keeps the direction: the largest number becomes 127', () => {
  for (const vector of vectors) {
    const small = quantize(vector, 'int8')
    expect(Math.max(...small.map(Math.abs))).toBe(127)
    expect(plainCosine(small, vector)).toBeGreaterThan(0.999)
    expect(
      quantize(
        vector.map((value) => value * 1024),
        'int8',
      ),
    ).toEqual(small)
  }
  expect(Array.from(quantize(new Float32Array(8), 'int8'))).toEqual([0, 0, 0, 0, 0, 0, 0, 0])
})

test('embed gives them: alone and in a batch the same bytes, in memory of their own', async () => {
  const embedder = await loadTiny()
  const texts = mixedTexts(50)
  const floats = await embedder.embed(texts)
  const forms = [
    ['int8', undefined],
    ['int8', calibrate(floats)],
    ['binary', undefined],
  ] as const
  for (const [output, ranges] of forms) {
    const want = floats.map((vector) => quantize(vector, output, ranges))
    const together = await embedder.embed(texts, { output, ranges })
    expect(together).toEqual(want)
    expect(together.every((vector) => vector.buffer.byteLength === vector.byteLength)).toBe(true)
    expect(await embedder.embed(texts[3]!, { output, ranges })).toEqual(want[3])
    const streamed: AnyVector[] = []
    for await (const vector of embedder.embedStream(texts, { output, ranges })) streamed.push(vector)
    expect(streamed).toEqual(want)
    expect(together.usage.tokens).toBeGreaterThan(50)
  }
  const short = await embedder.embed(texts[0]!, { output: 'binary', dimensions: 16 })
  expect(short).toEqual(quantize(await embedder.embed(texts[0]!, { dimensions: 16 }), 'binary'))
})

const next = random(9)
const wholes = (dims: number): Int8Array => Int8Array.from({ length: dims }, () => next() * 256 - 128)
const bytes = (dims: number): Uint8Array => Uint8Array.from({ length: dims }, () => next() * 256)
const signs = (bits: Uint8Array): number[] =>
  Array.from({ length: bits.length * 8 }, (_, at) => (bits[at >> 3]! & (0x80 >> (at & 7)) ? 1 : -1))

test.each([
  [1, 4],
  [7, 60],
  [48, 5000],
  [1025, 300],
])('topK and similarity of %i whole numbers and of as many bytes of bits, %i rows: as a plain loop', async (dims, count) => {
  const kinds = [
    { make: wholes, numbers: (vector: AnyVector) => Array.from(vector) },
    { make: bytes, numbers: (vector: AnyVector) => signs(vector as Uint8Array) },
  ]
  for (const { make, numbers } of kinds) {
    const [query, rows] = [make(dims), Array.from({ length: count }, () => make(dims))]
    const scores = rows.map((row) => plainCosine(numbers(query), numbers(row)))
    const matrix = new (query.constructor as Int8ArrayConstructor)(count * dims)
    for (const [row, vector] of rows.entries()) matrix.set(vector, row * dims)
    const found = await topK(query, rows, 10)
    expect(await topK(query, matrix as typeof query, 10)).toEqual(found)
    for (const { index, score } of found) {
      expect(score).toBeCloseTo(scores[index]!, 5)
      expect(similarity(query, rows[index]!)).toBe(score)
    }
    const tenth = [...scores].sort((a, b) => b - a)[Math.min(10, count) - 1]!
    expect(found.at(-1)!.score).toBeCloseTo(tenth, 5)
  }
})

test('what cannot be is refused by name', async () => {
  const embedder = await loadTiny()
  const one = new Float32Array(20)
  const cases: [() => unknown, RegExp][] = [
    [() => quantize(one, 'binary'), /20 are no multiple of 8/],
    [() => quantize([1] as never, 'int8'), /vector must be a Float32Array, got an array/],
    [() => quantize(one, 'int4' as never), /precision must be "int8" or "binary"/],
    [() => quantize(one, 'int8', ranges), /ranges\.min has 48 numbers, and 20 are needed/],
    [() => quantize(one, 'int8', {} as never), /ranges must be what calibrate gives/],
    [() => quantize(new Float32Array(48), 'binary', ranges), /ranges are for "int8"/],
    [() => calibrate([]), /not empty/],
    [() => quantize(Float32Array.of(1, Number.NaN), 'int8'), /vector\[1\] is NaN; finite numbers/],
    [() => calibrate([one, one.map(() => Infinity)]), /vectors\[1\]\[0\] is Infinity/],
    [() => calibrate([one, new Float32Array(3)]), /vectors\[1\] has 3 numbers, and 20 are needed/],
    [() => similarity(new Int8Array(2), new Uint8Array(2) as never), /b must be an Int8Array, like the other/],
  ]
  for (const [call, says] of cases) expect(call).toThrowError(says)
  const calls: [Promise<unknown>, RegExp][] = [
    [embedder.embed('a', { output: 'binary', dimensions: 12 }), /12 are no multiple of 8/],
    [embedder.embed('a', { output: 'int8', dimensions: 12, ranges }), /ranges\.min has 48 numbers, and 12 are needed/],
    [embedder.embed('a', { ranges }), /ranges are for "int8"/],
    [topK(new Int8Array(8), new Float32Array(8) as never, 1), /vectors must be an Int8Array or an array of them/],
    [topK(new Int8Array(8), [new Uint8Array(8)] as never, 1), /vectors\[0\] must be an Int8Array/],
  ]
  for (const [call, says] of calls) {
    const error = await refusal(call)
    expect(error.code).toBe('ERR_INVALID_ARGUMENT')
    expect(error.message).toMatch(says)
  }
})
