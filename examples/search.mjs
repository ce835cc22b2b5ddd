/**
 * Semantic search in one file: embed some sentences, ask questions, print what is nearest in meaning, and let a
 * cross-encoder, if one is given as a LoRA adapter of the model, put the nearest into a better order.
 *
 *     node examples/search.mjs <model folder> [adapter folder]
 *
 * `node scripts/model.mjs` fetches all-MiniLM-L6-v2 and prints its folder; `npm run demo` does all of it.
 */
import { readFile } from 'node:fs/promises'

import { Embedder, Reranker, topK } from '@x/embed-native'
import progress from 'cli-progress'

const QUESTIONS = [
  'How does the body fight an infection?',
  'Why did so many people die in the Middle Ages?',
  'an engine that runs without burning anything',
]
const HITS = 3
/** So many of the nearest are read again by the cross-encoder. */
const CANDIDATES = 30

/** Embeds all sentences in one call, with a bar where a person looks on. */
async function embedAll(embedder, sentences) {
  const bar = new progress.SingleBar({ format: 'embedding {bar} {value}/{total} sentences', noTTYOutput: false })
  bar.start(sentences.length, 0)
  const start = performance.now()
  const matrix = await embedder.embed(sentences, { output: 'matrix', onProgress: ({ done }) => bar.update(done) })
  const seconds = (performance.now() - start) / 1000
  bar.update(sentences.length)
  bar.stop()
  return { matrix, seconds }
}

async function ask({ embedder, reranker, sentences, matrix }, question) {
  const nearest = await topK(await embedder.embedQuery(question), matrix, CANDIDATES)
  console.log(`\n? ${question}`)
  print(nearest.slice(0, HITS).map(({ index, score }) => ({ score, document: sentences[index] })))
  if (!reranker) return
  const candidates = nearest.map(({ index }) => sentences[index])
  console.log(`  reranked, of the nearest ${CANDIDATES}:`)
  print(await reranker.rerank(question, candidates, { topN: HITS }))
}

function print(hits) {
  for (const { score, document } of hits) console.log(`  ${score.toFixed(3)}  [${document.topic}] ${document.text}`)
}

async function search(folder, adapter) {
  const sentences = JSON.parse(await readFile(new URL('data/sentences.json', import.meta.url), 'utf8'))
  const start = performance.now()
  const embedder = await Embedder.load(folder)
  const { architecture, dims, kernel, threads } = embedder.info
  const loadMs = (performance.now() - start).toFixed(0)
  console.log(`loaded in ${loadMs} ms: ${architecture}, ${dims} dimensions, kernel ${kernel}, ${threads} threads`)

  const texts = sentences.map(({ text }) => text)
  const { matrix, seconds } = await embedAll(embedder, texts)
  const tokens = matrix.usage.tokens
  const rate = Math.round(tokens / seconds).toLocaleString('en')
  console.log(`${texts.length} sentences, ${tokens} tokens in ${(seconds * 1000).toFixed(0)} ms: ${rate} tokens/s`)

  const reranker = adapter && (await Reranker.load(folder, { adapter }))
  for (const question of QUESTIONS) await ask({ embedder, reranker, sentences, matrix }, question)
  reranker?.dispose()
  embedder.dispose()
}

if (process.argv[2] === undefined) {
  console.error('usage: node examples/search.mjs <model folder> [adapter folder]  (node scripts/model.mjs fetches one)')
  process.exitCode = 1
} else {
  await search(process.argv[2], process.argv[3])
}
