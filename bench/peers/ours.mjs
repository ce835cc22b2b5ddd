/** We as a contestant: strings in, owned vectors out. `node ours.mjs <scratch> <dtype> <threads>` */
import { join } from 'node:path'

import { Embedder, Reranker } from '@x/embed-native'

import { readScratch, serve } from './contestant.mjs'

const [scratch, dtype, threads] = process.argv.slice(2)
const options = { dtype, threads: Number(threads) }
const texts = readScratch(scratch, 'texts')
let embedder
let reranker

await serve({
  load: async () => {
    embedder = await Embedder.load(join(scratch, 'embed'), options)
  },
  first: () => embedder.embed(texts.one[0]),
  embed: (kind, count) => embedder.embed(texts[kind].slice(0, count)),
  embedOne: (index) => embedder.embed(texts.one[index % texts.one.length]),
  openReranker: async () => {
    reranker = await Reranker.load(join(scratch, 'rerank'), { ...options, maxLength: 128 })
  },
  rerank: () => reranker.rerank(texts.queries[0], texts.passages),
})
