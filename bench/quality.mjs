/**
 * Are the answers good? nDCG@10 on the test queries of SciFact: of the embedder over all abstracts, and of the reranker over
 * BM25's hundred best. The cross-encoder is the model with the adapter of `__test__/data`.
 *
 *     npm run quality -- --data <folder>
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'

import { Embedder, Reranker, topK } from '@x/embed-native'
import progress from 'cli-progress'

import { loadOptions, readOptions } from './options.mjs'
import { verdict } from './report.mjs'

const ADAPTER = fileURLToPath(new URL('../__test__/data/adapters/minilm-l6-scifact-reranker', import.meta.url))
const CUTOFF = 10
/** What the reference implementation reaches with the same weights, less 0.002. */
const LEAST = { embedder: 0.64508 - 0.002, reranker: 0.7029 - 0.002 }

const lines = (text) => text.trim().split('\n')
const jsonLines = (text) => lines(text).map((line) => JSON.parse(line))

/** Documents, queries, relevant documents and BM25's hits, by id. */
function readSciFact(folder) {
  const file = (name) => readFileSync(join(folder, 'scifact-beir', name))
  const documents = jsonLines(gunzipSync(file('corpus.jsonl.gz')).toString('utf8'))
  const relevant = new Map()
  for (const [query, document] of lines(file('qrels.test.tsv').toString('utf8'))
    .slice(1)
    .map((line) => line.split('\t')))
    relevant.set(query, new Set([...(relevant.get(query) ?? []), document]))
  const hits = new Map()
  for (const [query, document] of lines(file('bm25-top100.test.tsv').toString('utf8')).map((line) => line.split('\t')))
    hits.set(query, [...(hits.get(query) ?? []), document])
  return {
    texts: new Map(documents.map(({ _id, title, text }) => [_id, `${title} ${text}`])),
    queries: jsonLines(file('queries.test.jsonl').toString('utf8')).filter(({ _id }) => relevant.has(_id)),
    relevant,
    hits,
  }
}

/** Normalised discounted cumulative gain of a ranking, relevance 0 or 1 (Järvelin and Kekäläinen 2002). */
export function ndcg(ranking, relevant, cutoff = CUTOFF) {
  const gain = (rank) => 1 / Math.log2(rank + 2)
  const found = ranking.slice(0, cutoff).reduce((sum, id, rank) => sum + (relevant.has(id) ? gain(rank) : 0), 0)
  const ideal = Array.from({ length: Math.min(relevant.size, cutoff) }, (_, rank) => gain(rank))
  return found / ideal.reduce((sum, value) => sum + value, 0)
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length

function startBar(name, total) {
  const bar = new progress.SingleBar({ format: `${name} {bar} {value}/{total}`, noTTYOutput: false })
  bar.start(total, 0)
  return bar
}

async function embedderScore({ texts, queries, relevant }, options) {
  const embedder = await Embedder.load(options.model, loadOptions(options))
  const ids = [...texts.keys()]
  const bar = startBar('embedding', ids.length)
  const onProgress = ({ done }) => bar.update(done)
  const documents = await embedder.embedDocument([...texts.values()], { output: 'matrix', onProgress })
  bar.stop()
  const vectors = await embedder.embedQuery(queries.map(({ text }) => text))
  const scores = []
  for (const [at, { _id }] of queries.entries()) {
    const found = await topK(vectors[at], documents, CUTOFF)
    scores.push(
      ndcg(
        found.map(({ index }) => ids[index]),
        relevant.get(_id),
      ),
    )
  }
  return mean(scores)
}

async function rerankerScore({ texts, queries, relevant, hits }, options) {
  const reranker = await Reranker.load(options.model, { ...loadOptions(options), adapter: ADAPTER })
  const bar = startBar('reranking', queries.length)
  const scores = []
  for (const { _id, text } of queries) {
    const candidates = (hits.get(_id) ?? []).map((id) => ({ id, text: texts.get(id) }))
    const ranked = await reranker.rerank(text, candidates, { topN: CUTOFF })
    scores.push(
      ndcg(
        ranked.map(({ document }) => document.id),
        relevant.get(_id),
      ),
    )
    bar.update(scores.length)
  }
  bar.stop()
  return mean(scores)
}

const options = await readOptions('nDCG@10 on SciFact, of the embedder and of the reranker; needs --data.')
if (options.data === undefined) {
  console.error('--data <folder> is needed: SciFact as bench/README.md says')
  process.exitCode = 1
} else {
  const data = readSciFact(options.data)
  const least = { atLeast: true, digits: 4 }
  verdict(
    `embedder, nDCG@10 of ${data.queries.length} queries`,
    await embedderScore(data, options),
    LEAST.embedder,
    least,
  )
  verdict('reranker over BM25 top 100, nDCG@10', await rerankerScore(data, options), LEAST.reranker, least)
}
