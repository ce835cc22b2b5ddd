/** One process's figures as JSON: load, throughput, latency, memory. Started by main.mjs once for each kernel. */
import { Embedder } from '@x/embed-native'

import { loadTexts } from './data.mjs'
import { loadOptions, readOptions } from './options.mjs'
import { collectGarbage, mebibytes, median, percentile } from './report.mjs'

const options = await readOptions('Measures one process; prints JSON.')
const sizes = options.smoke
  ? { rounds: 1, calls: 5, short: 32, long: 4 }
  : { rounds: 5, calls: 300, short: 3000, long: 500 }
const texts = loadTexts(options.data, sizes)

const rss = () => mebibytes(process.memoryUsage.rss())

async function throughput(embedder, kind) {
  const { tokens } = (await embedder.embed(texts[kind])).usage
  const seconds = []
  for (let round = 0; round < sizes.rounds; round++) seconds.push(await timed(() => embedder.embed(texts[kind])))
  const middle = median(seconds)
  const count = texts[kind].length
  return { texts: count, tokens, tokensPerSecond: tokens / middle, textsPerSecond: count / middle }
}

/** One text at a time, each another one, as a user's queries come. */
async function latency(embedder) {
  const milliseconds = []
  for (let call = 0; call < sizes.calls; call++) {
    milliseconds.push(1000 * (await timed(() => embedder.embed(texts.short[call % texts.short.length]))))
  }
  return { calls: sizes.calls, p50: percentile(milliseconds, 0.5), p95: percentile(milliseconds, 0.95) }
}

async function timed(work) {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

async function measure() {
  const start = performance.now()
  const embedder = await Embedder.load(options.model, loadOptions(options))
  const loadMs = performance.now() - start
  const loadedRss = rss()
  const short = await throughput(embedder, 'short')
  const long = await throughput(embedder, 'long')
  const oneText = await latency(embedder)
  collectGarbage()
  const memory = { loaded: loadedRss, peak: process.resourceUsage().maxRSS / 1024, after: rss() }
  const { kernel, threads } = embedder.info
  embedder.dispose()
  return { kernel, threads, loadMs, short, long, latency: oneText, memory, origin: texts.origin }
}

console.log(JSON.stringify(await measure()))
