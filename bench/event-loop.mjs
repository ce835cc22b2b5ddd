/**
 * How long is the event loop held up while texts are embedded: 5,000 in one call, in 10,000 calls at once, a million in one call?
 * Measured twice, by Node's own monitor and by the largest gap between two turns; the worse counts. Busy threads alone delay the loop
 * on a full machine, so the same is measured with that many spinning workers and no embedding, and taken off.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

import { Embedder } from '@x/embed-native'

import { loadTexts } from './data.mjs'
import { loadOptions, readOptions } from './options.mjs'
import { collectGarbage, median, verdict } from './report.mjs'

const TINY = fileURLToPath(new URL('../__test__/data/tiny-models/bert-mean', import.meta.url))

/** What a case may cost the loop beyond what busy foreign threads do. */
const LIMIT_MS = 10

const options = await readOptions(
  'Longest delay of the event loop while texts are embedded.',
  { only: { type: 'string', default: '' } },
  '\n  --only <words>      the cases whose name has these words: calls, matrix, …',
)
const size = options.smoke
  ? { texts: 200, calls: 200, many: 2000, runs: 1 }
  : { texts: 5000, calls: 10_000, many: 1_000_000, runs: 5 }

/**
 * The longest delay in ms while `work` runs. Garbage is collected twice before: V8 frees the memory of a million vectors of the run
 * before in the background, and the next collection, which is not this run's, waits for that.
 */
async function longestDelay(work) {
  collectGarbage()
  collectGarbage()
  await pause(50)
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  const gaps = watchGaps()
  monitor.enable()
  await work()
  monitor.disable()
  // The monitor's timer is due after 1 ms, which is no delay.
  return Math.max(gaps.stop(), monitor.max / 1e6 - 1)
}

function watchGaps() {
  let [longest, last, running] = [0, performance.now(), true]
  const turn = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (running) setImmediate(turn)
  }
  setImmediate(turn)
  return {
    stop() {
      running = false
      return Math.max(longest, performance.now() - last)
    },
  }
}

async function medianDelay(work) {
  const delays = []
  for (let run = 0; run < size.runs; run++) delays.push(await longestDelay(work))
  return median(delays)
}

/** The same number of threads, busy with nothing of ours. */
async function withBusyThreads(count, work) {
  const spin = 'for (;;) Math.sqrt(Math.random())'
  const workers = Array.from({ length: count }, () => new Worker(spin, { eval: true }))
  await pause(200)
  const found = await work()
  await Promise.all(workers.map((worker) => worker.terminate()))
  return found
}

const { short } = loadTexts(options.data)
const repeated = (count) => Array.from({ length: count }, (_, index) => short[index % short.length])
const embedder = await Embedder.load(options.model, loadOptions(options))
const tiny = await Embedder.load(TINY, loadOptions(options))
await Promise.all(repeated(1000).map((text) => tiny.embed(text)))
await embedder.embed(repeated(64))

/** Texts are made when their case comes: a million strings that lie about would lengthen the collections of the others. */
const cases = [
  [`${size.texts} texts in one call`, size.texts, (texts) => embedder.embed(texts)],
  [`${size.calls} calls at once`, size.calls, (texts) => Promise.all(texts.map((text) => embedder.embed(text)))],
  [
    `${size.many} texts in one call, a tiny model, one matrix`,
    size.many,
    (texts) => tiny.embed(texts, { output: 'matrix' }),
  ],
  [`${size.many} texts in one call, a tiny model, vectors`, size.many, (texts) => tiny.embed(texts)],
]
const { threads } = embedder.info
const base = await withBusyThreads(threads, () => medianDelay(() => pause(options.smoke ? 200 : 2000)))
console.log(`longest delay beside ${threads} foreign busy threads: ${base.toFixed(2)} ms`)
for (const [name, count, work] of cases.filter(([name]) => name.includes(options.only))) {
  const texts = repeated(count)
  const whole = await medianDelay(() => work(texts))
  console.log(`${name}: ${whole.toFixed(2)} ms`)
  // A smoke run shares the machine with the rest of the gate: its figure says nothing.
  verdict(`${name}, of ours`, Math.max(0, whole - base), options.smoke ? 1000 : LIMIT_MS, { unit: ' ms' })
}
embedder.dispose()
tiny.dispose()
