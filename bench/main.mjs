/**
 * `npm run bench`: throughput, latency, cold start and memory on real text. Each kernel is measured in a process of its
 * own. A program and not a test: its figures are for reading, and no limit is set on them.
 */
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import { asWords, measureAlone, readOptions } from './options.mjs'
import { machine, machineLine, median, table } from './report.mjs'

const options = await readOptions(
  'Throughput, latency, cold start and memory of embed-native on this machine.',
  { json: { type: 'string' }, kernels: { type: 'string' } },
  `
  --json <file>       writes all figures there
  --kernels <a,b>     measures each of these kernel families (EMBED_NATIVE_ISA); default: the one the library chooses`,
)

/** Milliseconds from the start of a process to its first line. */
function untilFirstLine(words) {
  return new Promise((resolve, reject) => {
    const start = performance.now()
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] })
    child.stdout.once('data', () => resolve(performance.now() - start))
    child.on('error', reject)
    child.on('exit', (code) => code !== 0 && reject(new Error(`the process ended with code ${code}`)))
  })
}

async function coldStart() {
  const program = fileURLToPath(new URL('first-vector.mjs', import.meta.url))
  const times = { firstVector: [], bareNode: [] }
  for (let round = 0; round < (options.smoke ? 1 : 7); round++) {
    times.bareNode.push(await untilFirstLine(['-e', 'console.log(0)']))
    times.firstVector.push(await untilFirstLine([program, options.model]))
  }
  return { firstVectorMs: median(times.firstVector), bareNodeMs: median(times.bareNode) }
}

async function measureKernels() {
  const names = options.kernels?.split(',') ?? [undefined]
  const found = []
  for (const name of names) {
    found.push(await measureAlone('measure.mjs', asWords(options), name ? { EMBED_NATIVE_ISA: name } : {}))
  }
  return found
}

const whole = (value) => Math.round(value).toLocaleString('en')
const perText = ({ tokens, texts }) => (tokens / texts).toFixed(0)

function print(about, results, cold) {
  console.log(
    `${machineLine(about)}\n${results[0].origin}${options.smoke ? ' — smoke run, the figures mean nothing' : ''}\n`,
  )
  const [{ short, long }] = results
  const head = [
    'kernel',
    'threads',
    'load ms',
    `short (${perText(short)} tokens) tokens/s`,
    'texts/s',
    `long (${perText(long)} tokens) tokens/s`,
    'one text p50 ms',
    'p95 ms',
    'RSS loaded MB',
    'peak',
    'after',
  ]
  console.log(table(head, results.map(kernelRow)))
  console.log(`\ncold process to first vector ${whole(cold.firstVectorMs)} ms (bare node ${whole(cold.bareNodeMs)} ms)`)
}

function kernelRow({ kernel, threads, loadMs, short, long, latency, memory }) {
  return [
    kernel,
    threads,
    whole(loadMs),
    whole(short.tokensPerSecond),
    whole(short.textsPerSecond),
    whole(long.tokensPerSecond),
    latency.p50.toFixed(2),
    latency.p95.toFixed(2),
    whole(memory.loaded),
    whole(memory.peak),
    whole(memory.after),
  ]
}

const about = machine()
const cold = await coldStart()
const results = await measureKernels()
print(about, results, cold)
if (options.json)
  writeFileSync(options.json, `${JSON.stringify({ about, smoke: options.smoke, cold, results }, null, 2)}\n`)
