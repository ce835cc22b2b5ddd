/**
 * How fast does a model of 90 MB come from a hub on loopback, beside a plain write and flush of the same bytes; what it holds
 * in memory, and how long it holds up the event loop. The hub is a process of its own. Runs alternate; medians count, and the
 * largest growth of all runs. Busy threads alone delay the loop on a full machine: what as many that only spin do to it is taken off.
 */
import { fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'

import { download } from '@x/embed-native'

import { readOptions } from './options.mjs'
import { collectGarbage, median, verdict } from './report.mjs'

const COMMIT = '0123456789abcdef0123456789abcdef01234567'
const NAME = 'org/large'
const FILES = { 'config.json': Buffer.from('{}'), 'model.safetensors': undefined }
/** Of the disk's own speed, and in any case. */
const [SHARE, ENOUGH] = [0.9, 500]

/** The hub: answers as the real one, from memory. */
function serve(size) {
  FILES['model.safetensors'] = randomBytes(size)
  const siblings = Object.entries(FILES).map(([rfilename, bytes]) => {
    const lfs = { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length }
    return { rfilename, size: bytes.length, lfs }
  })
  const server = createServer(({ url = '' }, response) => {
    const file = url.split(`/${NAME}/resolve/${COMMIT}/`)[1]
    if (url.startsWith(`/api/models/${NAME}/`)) response.end(JSON.stringify({ sha: COMMIT, siblings }))
    else if (file in FILES) response.setHeader('content-length', FILES[file].length).end(FILES[file])
    else response.writeHead(404).end()
  })
  server.listen(0, '127.0.0.1', () => process.send(server.address().port))
  process.on('disconnect', () => process.exit())
}

/** Seconds of writing and flushing as many bytes: what the disk can do. */
async function plainWrite(folder, bytes) {
  const start = performance.now()
  const file = await open(join(folder, 'plain'), 'w')
  for (let at = 0; at < bytes.length; at += 1 << 18) await file.write(bytes, at, Math.min(1 << 18, bytes.length - at))
  await file.sync()
  await file.close()
  return (performance.now() - start) / 1000
}

/** The longest delay of the loop in ms while `work` runs. */
async function longestDelay(work) {
  const monitor = monitorEventLoopDelay({ resolution: 1 })
  monitor.enable()
  await work()
  monitor.disable()
  // The monitor's timer is due after 1 ms, which is no delay.
  return monitor.max / 1e6 - 1
}

/** The same while a hub, and what reads and hashes, are busy with nothing. */
async function delayOfSpinning(milliseconds) {
  const spinning = Array.from({ length: 3 }, () => new Worker('for (;;) {}', { eval: true }))
  await Promise.all(spinning.map((worker) => new Promise((resolve) => worker.once('online', resolve))))
  const delay = await longestDelay(() => pause(milliseconds))
  await Promise.all(spinning.map((worker) => worker.terminate()))
  return delay
}

async function main() {
  const options = await readOptions('Speed, memory and delay of a download from loopback.')
  const { size, runs } = options.smoke ? { size: 3_000_000, runs: 1 } : { size: 90_000_000, runs: 9 }
  const hub = fork(fileURLToPath(import.meta.url), ['--serve', String(size)])
  const port = await new Promise((resolve) => hub.once('message', resolve))
  const bytes = randomBytes(size)
  const [seconds, plain, growths, delays, spinning] = [[], [], [], [], []]
  for (let run = 0; run < runs; run++) {
    const folder = await mkdtemp(join(tmpdir(), 'embed-native-download-'))
    plain.push(await plainWrite(folder, bytes))
    collectGarbage()
    spinning.push(await delayOfSpinning(200))
    const before = process.memoryUsage.rss()
    let peak = before
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss())
    }, 5)
    const start = performance.now()
    const bring = () => download(NAME, { endpoint: `http://127.0.0.1:${port}`, cacheDir: folder, offline: false })
    delays.push(await longestDelay(bring))
    seconds.push((performance.now() - start) / 1000)
    clearInterval(watch)
    growths.push((peak - before) / 1e6)
    await rm(folder, { recursive: true })
  }
  hub.disconnect()
  const rate = (times) => size / 1e6 / median(times)
  const wanted = Math.min(ENOUGH, SHARE * rate(plain))
  console.log(
    `plain write and flush: ${rate(plain).toFixed(0)} MB/s; downloads: ${seconds.map((time) => rate([time]).toFixed(0)).join(' ')}`,
  )
  console.log(`event loop: ${median(delays).toFixed(1)} ms, beside threads that spin ${median(spinning).toFixed(1)} ms`)
  // A smoke run shares the machine with the rest of the gate: its times say nothing.
  verdict('download', rate(seconds), options.smoke ? 0 : wanted, { unit: ' MB/s', atLeast: true, digits: 0 })
  verdict('memory', Math.max(...growths), 30, { unit: ' MB more', digits: 1 })
  verdict('event loop', Math.max(0, median(delays) - median(spinning)), options.smoke ? 1000 : 10, {
    unit: ' ms more',
    digits: 1,
  })
}

if (process.argv[2] === '--serve') serve(Number(process.argv[3]))
else await main()
