/**
 * How fast are pairs scored? 100 pairs of 128 tokens against embedding texts of that length, in turns, and the latency of one
 * query with 20 passages. The cross-encoder is the model with the adapter of `__test__/data`.
 */
import { fileURLToPath } from 'node:url'

import { Embedder, Reranker } from '@x/embed-native'

import { loadTexts } from './data.mjs'
import { loadOptions, readOptions } from './options.mjs'
import { median, verdict } from './report.mjs'

const ADAPTER = fileURLToPath(new URL('../__test__/data/adapters/minilm-l6-scifact-reranker', import.meta.url))
/** Reranking costs what its tokens cost. */
const LEAST_RATIO = 0.97
const QUERY = 'what is known about the immune response?'

const options = await readOptions('Reranking against embedding texts of the same length.')
const { long } = loadTexts(options.data)
const size = options.smoke ? { pairs: 10, runs: 1 } : { pairs: 100, runs: 9 }
const settings = { ...loadOptions(options), maxLength: 128 }
const embedder = await Embedder.load(options.model, settings)
const reranker = await Reranker.load(options.model, { ...settings, adapter: ADAPTER })

const documents = Array.from({ length: size.pairs }, (_, i) =>
  [0, 1, 2, 3].map((k) => long[(i + k) % long.length]).join(' '),
)
const rate = async (work) => {
  const start = performance.now()
  const { usage } = await work()
  return (usage.tokens / (performance.now() - start)) * 1000
}
const rates = { pairs: [], texts: [], latency: [] }
for (let run = -1; run < size.runs; run++) {
  const pairs = await rate(() => reranker.rerank(QUERY, documents))
  const texts = await rate(() => embedder.embed(documents))
  const start = performance.now()
  await reranker.rerank(QUERY, documents.slice(0, 20))
  if (run < 0) continue
  rates.pairs.push(pairs)
  rates.texts.push(texts)
  rates.latency.push(performance.now() - start)
}
const ratio = median(rates.pairs.map((pairs, run) => pairs / rates.texts[run]))
console.log(`${size.pairs} pairs of 128 tokens: ${Math.round(median(rates.pairs)).toLocaleString('en')} tokens/s`)
console.log(`texts of 128 tokens: ${Math.round(median(rates.texts)).toLocaleString('en')} tokens/s`)
console.log(`one query × 20 passages of 128 tokens: ${median(rates.latency).toFixed(1)} ms`)
verdict('pairs to texts, tokens/s', ratio, options.smoke ? 0 : LEAST_RATIO, { atLeast: true, digits: 3 })
