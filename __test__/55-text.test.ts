/** Chapter 9: any string is a text. */
import type { Embedder } from '@x/embed-native'
import { beforeAll, expect, test } from 'vitest'

import { bits, checkSameBits, loadTiny } from './support.js'

const models = ['bert-mean', 'modernbert-mean', 'qwen3-last']
let embedders: Embedder[]

beforeAll(async () => {
  embedders = await Promise.all(models.map((model) => loadTiny(model)))
})

const odd: [string, string][] = [
  ['empty', ''],
  ['spaces', '   \t\n\r '],
  ['NUL', 'a\0b\0'],
  ['only NUL', '\0'],
  ['a lone high surrogate', 'a\ud83cb'],
  ['a lone low surrogate', '\udf55'],
  ['reversed surrogates', '\udf55\ud83c'],
  ['special tokens as text', '[CLS] [SEP] [PAD] [MASK] <s> </s> <|endoftext|> <|im_start|>'],
  ['an emoji family', '👩‍👩‍👧‍👦🏳️‍🌈🇩🇪'],
  ['1,000 combining marks', `e${'\u0301'.repeat(1000)}`],
  ['right to left', '\u202eمرحبا بالعالم\u202c'],
  ['a byte order mark', '\ufeffhello'],
  ['noncharacters', '\ufffe\uffff\u{10ffff}'],
  ['controls', '\u0001\u0007\u001b[31mred\u007f'],
  ['10,000 letters without a space', 'a'.repeat(10_000)],
  ['all of Latin-1', Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('')],
]

test.each(odd)('%s: finite, of length 1, the same alone and in company', async (name, text) => {
  for (const embedder of embedders) {
    const vector = await embedder.embed(text)
    expect(vector.every(Number.isFinite), `${name}: finite`).toBe(true)
    expect(Math.hypot(...vector), `${name}: length`).toBeCloseTo(1, 5)
    const [, again] = await embedder.embed(['neighbour', text, 'another neighbour'])
    expect(bits(again!), name).toBe(bits(vector))
    expect(vector.usage.tokens).toBe(Math.min(await embedder.countTokens(text), embedder.info.maxLength))
  }
})

test('a lone surrogate is U+FFFD, as everywhere in the platform', async () => {
  for (const embedder of embedders) {
    expect(bits(await embedder.embed('a\ud83cb'))).toBe(bits(await embedder.embed('a\ufffdb')))
  }
})

test('NUL does not end a text', async () => {
  const [bert] = embedders
  expect(bits(await bert!.embed('fox\0 dog cat'))).not.toBe(bits(await bert!.embed('fox')))
})

test('one text of 10 MB is cut like any long text, and holds nothing up', async () => {
  const [bert] = embedders
  const text = 'the quick brown fox '.repeat(500_000)
  const [huge, short] = await Promise.all([bert!.embed(text), bert!.embed('short')])
  expect(huge.usage).toEqual({ tokens: bert!.info.maxLength, truncated: [0] })
  expect(bits(huge)).toBe(bits(await bert!.embed(text.slice(0, 4000))))
  expect(short.usage.truncated).toEqual([])
})

test('100,000 short texts', async () => {
  const [bert] = embedders
  const texts = Array.from({ length: 100_000 }, (_, index) => `${index % 1000}`)
  const matrix = await bert!.embed(texts, { output: 'matrix' })
  expect(matrix.rows).toBe(100_000)
  const rows = [0, 999, 50_123, 99_999]
  const found = rows.map((row) => bits(matrix.slice(row * 48, (row + 1) * 48)))
  const alone = (await bert!.embed(rows.map((row) => texts[row]!))).map(bits)
  checkSameBits(
    'rows',
    rows.map((row) => texts[row]!),
    found,
    alone,
  )
})
