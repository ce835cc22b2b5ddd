/** transformers.js as its documentation uses it: strings, batches of 32. `node transformers-js.mjs <scratch> <fp32 | q8> <threads>` */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { readScratch, serve } from './contestant.mjs'

const BATCH = 32
const [scratch, dtype, threads] = process.argv.slice(2)
const entry = createRequire(join(scratch, 'node', 'package.json')).resolve('@huggingface/transformers')
const { AutoModelForSequenceClassification, AutoTokenizer, env, pipeline } = await import(pathToFileURL(entry).href)
env.allowRemoteModels = false
env.localModelPath = scratch
const options = { dtype, device: 'cpu', session_options: { intraOpNumThreads: Number(threads) } }
const texts = readScratch(scratch, 'texts')
let extract
let scorer

const starts = (count) => Array.from({ length: Math.ceil(count / BATCH) }, (_, number) => number * BATCH)
const vectorsOf = (some) => extract(some, { pooling: 'mean', normalize: true })

async function score(start) {
  const passages = texts.passages.slice(start, start + BATCH)
  const queries = passages.map(() => texts.queries[0])
  const inputs = scorer.tokenizer(queries, { text_pair: passages, padding: true, truncation: true, max_length: 128 })
  return (await scorer.model(inputs)).logits
}

await serve({
  load: async () => {
    extract = await pipeline('feature-extraction', 'embed', options)
  },
  first: () => vectorsOf(texts.one[0]),
  embed: async (kind, count) => {
    const chosen = texts[kind].slice(0, count)
    const vectors = []
    for (const start of starts(chosen.length))
      vectors.push(...(await vectorsOf(chosen.slice(start, start + BATCH))).tolist())
    return vectors
  },
  embedOne: (index) => vectorsOf(texts.one[index % texts.one.length]),
  openReranker: async () => {
    const tokenizer = await AutoTokenizer.from_pretrained('rerank')
    scorer = { tokenizer, model: await AutoModelForSequenceClassification.from_pretrained('rerank', options) }
  },
  rerank: async () => {
    for (const start of starts(texts.passages.length)) await score(start)
  },
})
