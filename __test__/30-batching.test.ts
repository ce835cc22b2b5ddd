/** Chapter 6: many calls and large calls. Batching never shows, except in speed. */
import type { Progress } from '@x/embed-native'
import { expect, test } from 'vitest'

import { bits, checkFault, checkSameBits, loadTiny, refusal } from './support.js'

const texts = Array.from({ length: 5000 }, (_, index) => `text number ${index}`)

test('a large call keeps the order of its texts', async () => {
  const embedder = await loadTiny()
  const vectors = await embedder.embed(texts)
  const some = [0, 1, 511, 512, 513, 2047, 2048, 4999]
  const alone = await Promise.all(some.map((index) => embedder.embed(texts[index]!)))
  checkSameBits(
    'order',
    some.map((index) => texts[index]!),
    some.map((index) => bits(vectors[index]!)),
    alone.map(bits),
  )
})

test('usage adds up over the jobs of a call', async () => {
  const embedder = await loadTiny()
  const long = 'word '.repeat(400)
  const mixed = texts.slice(0, 1500).map((text, index) => (index % 700 === 3 ? long : text))
  const { usage } = await embedder.embed(mixed)
  expect(usage.truncated).toEqual([3, 703, 1403])
  const counts = await embedder.countTokens(mixed)
  const expected = counts.reduce((sum, count) => sum + Math.min(count, embedder.info.maxLength), 0)
  expect(usage.tokens).toBe(expected)
})

test('usage does not show in JSON, nor among the keys', async () => {
  const embedder = await loadTiny()
  const vectors = await embedder.embed(['a', 'b'])
  expect(Object.keys(vectors)).toEqual(['0', '1'])
  expect(Object.isFrozen(vectors.usage)).toBe(true)
})

test('onProgress counts up to the end, and never back', async () => {
  const embedder = await loadTiny()
  const seen: Progress[] = []
  await embedder.embed(texts, { onProgress: (progress) => seen.push(progress) })
  expect(seen.length).toBeGreaterThan(3)
  expect(seen.at(-1)).toEqual({ done: 5000, total: 5000 })
  expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).sort((a, b) => a - b))
})

test('what onProgress throws rejects the call, and no other', async () => {
  const embedder = await loadTiny()
  const thrown = new Error('from onProgress')
  const failing = embedder.embed(['a'], {
    onProgress: () => {
      throw thrown
    },
  })
  const [error, vector] = await Promise.all([refusal(failing), embedder.embed('a')])
  expect(error).toBe(thrown)
  expect(vector.length).toBe(48)
})

test('calls of one turn with other options do not mix', async () => {
  const embedder = await loadTiny('modernbert-mean')
  const calls = [
    () => embedder.embed('hello'),
    () => embedder.embedQuery('hello'),
    () => embedder.embedDocument('hello'),
    () => embedder.embed('hello', { dimensions: 8 }),
    () => embedder.embed('hello', { normalize: false }),
    () => embedder.embed('hello', { prompt: { text: 'say: ' } }),
  ]
  const together = (await Promise.all(calls.map((call) => call()))).map(bits)
  for (const [index, call] of calls.entries()) expect(bits(await call()), `call ${index}`).toBe(together[index])
  expect(new Set(together).size).toBe(calls.length)
})

test('models of one turn do not mix', async () => {
  const [bert, qwen] = await Promise.all([loadTiny('bert-mean'), loadTiny('qwen3-last')])
  const [a, b] = await Promise.all([bert.embed('hello'), qwen.embed('hello')])
  expect(bits(a)).toBe(bits(await bert.embed('hello')))
  expect(bits(b)).toBe(bits(await qwen.embed('hello')))
})

test('a text that fails takes its own call with it, not its neighbours', async () => {
  const embedder = await loadTiny()
  const strict = { onOverflow: 'error' } as const
  const [first, second, third] = await Promise.allSettled([
    embedder.embed('short', strict),
    embedder.embed(['also short', 'word '.repeat(400)], strict),
    embedder.embed(['short', 'too'], strict),
  ])
  expect([first.status, second.status, third.status]).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  const error = await checkFault(embedder.embed(['also short', 'word '.repeat(400)], strict), 'ERR_TEXT_TOO_LONG')
  expect(error.message).toContain('texts[1]')
})

test('10,000 calls at once', async () => {
  const embedder = await loadTiny()
  const many = Array.from({ length: 10_000 }, (_, index) => `text number ${index % 100}`)
  const vectors = (await Promise.all(many.map((text) => embedder.embed(text)))).map(bits)
  checkSameBits(
    '10,000 calls',
    many,
    vectors,
    many.map((_, index) => vectors[index % 100]!),
  )
  expect(new Set(vectors).size).toBe(100)
})

test('no texts: nothing to do, but options are checked', async () => {
  const embedder = await loadTiny()
  expect(await embedder.embed([])).toEqual([])
  const matrix = await embedder.embed([], { output: 'matrix', dimensions: 16 })
  expect([matrix.length, matrix.rows, matrix.dims]).toEqual([0, 0, 16])
  await checkFault(embedder.embed([], { prompt: 'nobody' }), 'ERR_PROMPT')
})

test('a short call is not held up by a large one made before it', async () => {
  const embedder = await loadTiny()
  let large = false
  const underWay = embedder.embed([...texts, ...texts]).then(() => {
    large = true
  })
  await embedder.embed('short')
  expect(large).toBe(false)
  await underWay
})

test('timing says where the time went', async () => {
  const embedder = await loadTiny()
  const { timing } = await embedder.embed(texts.slice(0, 1000))
  expect(Object.isFrozen(timing)).toBe(true)
  expect(timing.inference).toBeGreaterThan(0)
  expect(timing.tokenization).toBeGreaterThan(0)
  expect(timing.queue).toBeGreaterThanOrEqual(0)
  expect(timing.inference + timing.tokenization).toBeLessThanOrEqual(timing.total * embedder.info.threads * 1.05)
})

test('calls that share a job share its time by their tokens', async () => {
  const embedder = await loadTiny()
  const [small, large] = await Promise.all([embedder.embed('a'), embedder.embed(texts.slice(0, 100))])
  expect(small.timing.inference).toBeLessThan(large.timing.inference)
})

test('an interactive call goes before background work', async () => {
  const embedder = await loadTiny()
  const order: string[] = []
  const bulk = embedder.embed(texts, { priority: 'background' }).then(() => order.push('bulk'))
  const query = embedder.embed('a query').then(() => order.push('query'))
  await Promise.all([bulk, query])
  expect(order).toEqual(['query', 'bulk'])
})

test('what was asked first in a turn is answered first, not with the rest', async () => {
  const embedder = await loadTiny('bert-mean', { threads: 1 })
  const long = texts.slice(0, 20).join(' ')
  const start = performance.now()
  const ended: number[] = []
  // Four jobs, which the engine has at a time. Taking turns with one another they would end together.
  await Promise.all(
    Array.from({ length: 512 }, () => embedder.embed(long).then(() => ended.push(performance.now() - start))),
  )
  expect(ended[0]! / ended.at(-1)!).toBeLessThan(0.6)
})

test('a deadline ends a call, and the model goes on', async () => {
  const embedder = await loadTiny()
  await checkFault(embedder.embed(Array(200_000).fill('a text'), { deadline: 20 }), 'ERR_DEADLINE')
  expect(await embedder.embed('a text', { deadline: 10_000 })).toHaveLength(embedder.info.dims)
})

test('beyond maxQueue a call is refused whole, and admitted again when there is room', async () => {
  const embedder = await loadTiny('bert-mean', { maxQueue: 100 })
  const first = embedder.embed(texts.slice(0, 80))
  const { message } = await checkFault(embedder.embed(texts.slice(0, 21)), 'ERR_OVERLOADED')
  expect(message).toMatch(/80 texts are waiting or under way, and 21 more would exceed maxQueue 100\. Try again later/)
  const never = await checkFault(embedder.embed(texts.slice(0, 101)), 'ERR_OVERLOADED')
  expect(never.message).toMatch(/a call of 101 texts exceeds maxQueue 100 by itself\. Split it/)
  expect(never.message).not.toContain('later')
  const second = embedder.embed(texts.slice(0, 20))
  expect((await first).length + (await second).length).toBe(100)
  expect(await embedder.embed(texts.slice(0, 100))).toHaveLength(100)
})

test('maxBatch changes no bit', async () => {
  const [whole, cut] = await Promise.all([loadTiny(), loadTiny('bert-mean', { maxBatch: 3 })])
  const some = texts.slice(0, 300)
  const vectors = (await cut.embed(some)).map(bits)
  checkSameBits('maxBatch', some, vectors, (await whole.embed(some)).map(bits))
  const error = await refusal(loadTiny('bert-mean', { maxBatch: 0 }))
  expect(error).toBeInstanceOf(RangeError)
  expect(error.message).toMatch(/maxBatch must be a whole number from 1/)
})
