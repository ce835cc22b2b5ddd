/** Chapter 4: the real all-MiniLM-L6-v2, against the reference implementation and two others. */
import { Embedder } from '@x/embed-native'
import { expect, test } from 'vitest'

import { bits, checkClose, readJson, realModel, type Tolerance } from './support.js'

/** f32 sums in another order through six layers, over unit vectors. */
const REAL: Tolerance = { cosine: 0.999999, maxAbs: 1e-5 }

interface Item {
  source: string
  text: string
  n_tokens: number
  embedding: string
}

const { items } = readJson<{ items: Item[] }>('minilm-scifact.json')
const loading = async (): Promise<Embedder> => Embedder.load(realModel(), { dtype: 'f32' })

function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'))
  return new Float32Array(bytes.buffer)
}

test('20 abstracts, most of them longer than the model reads', async () => {
  const embedder = await loading()
  const vectors = await embedder.embed(items.map((item) => item.text))
  for (const [index, item] of items.entries()) checkClose(item.source, vectors[index]!, floats(item.embedding), REAL)
  expect(vectors.usage.tokens).toBe(items.reduce((sum, item) => sum + item.n_tokens, 0))
  expect(vectors.usage.truncated.length).toBeGreaterThan(8)
})

test('alone and in a batch: the same bits', async () => {
  const embedder = await loading()
  const batch = await embedder.embed(items.map((item) => item.text))
  for (const index of [0, 9, 14]) expect(bits(await embedder.embed(items[index]!.text))).toBe(bits(batch[index]!))
})

test('what fastembed publishes for the same model (Apache-2.0; tolerances are theirs)', async () => {
  const embedder = await loading()
  const hello = await embedder.embed('hello world')
  const first = [-0.034478, 0.03102, 0.00673, 0.02611, -0.039362]
  for (const [index, value] of first.entries())
    expect(Math.abs(hello[index]! - value), `number ${index}`).toBeLessThan(1e-3)
  const sums = { 'Hello, World!': 0.59605527, 'This is an example passage.': 0.36542925 }
  for (const [text, sum] of Object.entries(sums)) {
    const vector = await embedder.embed(text)
    expect(Math.abs(vector.reduce((total, value) => total + value, 0) - sum), text).toBeLessThan(1e-2)
  }
})

test('near meanings are near, far ones far', async () => {
  const embedder = await loading()
  const documents = ['How to bake sourdough bread', 'Der Fuchs jagt Hasen', 'The central bank raised interest rates']
  const query = await embedder.embedQuery('monetary policy')
  expect((await embedder.topK(query, await embedder.embedDocument(documents), 1))[0]!.index).toBe(2)
})
