/**
 * Semantic search in one file: embed some sentences, ask questions, print what is nearest in meaning.
 *
 *     node examples/search.mjs <model folder>
 *
 * `node scripts/model.mjs` fetches all-MiniLM-L6-v2 and prints its folder; `npm run demo` does all of it.
 */
import { readFile } from 'node:fs/promises'

import { Embedder, topK } from '@x/embed-native'
import progress from 'cli-progress'

const QUESTIONS = [
  'How does the body fight an infection?',
  'Why did so many people die in the Middle Ages?',
  'an engine that runs without burning anything',
]
const HITS = 3

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

async function ask(embedder, question, sentences, matrix) {
  const query = await embedder.embedQuery(question)
  console.log(`\n? ${question}`)
  for (const { index, score } of await topK(query, matrix, HITS)) {
    console.log(`  ${score.toFixed(3)}  [${sentences[index].topic}] ${sentences[index].text}`)
  }
}

async function search(folder) {
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

  for (const question of QUESTIONS) await ask(embedder, question, sentences, matrix)
  embedder.dispose()
}

if (process.argv[2] === undefined) {
  console.error('usage: node examples/search.mjs <model folder>  (node scripts/model.mjs fetches one)')
  process.exitCode = 1
} else {
  await search(process.argv[2])
}
