/**
 * How long is the event loop held up while 5,000 texts are embedded in one call? Measured twice, by Node's own monitor and
 * by the largest gap between two turns; the worse counts. Busy threads alone delay the loop on a full machine, so the same
 * is measured with that many spinning workers and no embedding, and taken off.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

import { Embedder } from '@x/embed-native'

import { loadTexts } from './data.mjs'
import { loadOptions, readOptions } from './options.mjs'
import { collectGarbage, median, verdict } from './report.mjs'

/** What 5,000 texts in one call may cost the loop beyond what two busy foreign threads do. */
const LIMIT_MS = 20

const options = await readOptions('Longest delay of the event loop while 5,000 texts are embedded in one call.')
const size = options.smoke ? { texts: 200, runs: 1 } : { texts: 5000, runs: 5 }

/** The longest delay in ms while `work` runs. */
async function longestDelay(work) {
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
const texts = Array.from({ length: size.texts }, (_, index) => short[index % short.length])
const embedder = await Embedder.load(options.model, loadOptions(options))
await embedder.embed(texts.slice(0, 64))

let milliseconds = 0
const whole = await medianDelay(async () => {
  const start = performance.now()
  await embedder.embed(texts)
  milliseconds = performance.now() - start
})
const { threads } = embedder.info
embedder.dispose()
const base = await withBusyThreads(threads, () => medianDelay(() => pause(Math.min(milliseconds, 3000))))
console.log(
  `longest delay ${whole.toFixed(2)} ms while embedding, ${base.toFixed(2)} ms beside ${threads} foreign busy threads`,
)
// A smoke run shares the machine with the rest of the gate: its figure says nothing.
verdict('longest delay of ours', Math.max(0, whole - base), options.smoke ? 1000 : LIMIT_MS, { unit: ' ms' })
