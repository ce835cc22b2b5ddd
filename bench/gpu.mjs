/**
 * The checks that need a GPU: vectors of all tiny models against the reference, tokens a second and latency of random models of
 * three sizes, the same against sentence-transformers where Python has torch, memory that is full, two models under one budget.
 * Without a GPU that a model can run on it says so and ends with code 2. `npm run check:gpu` starts it, and packs it for a
 * machine that has nothing.
 */
import { execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { verdict } from './report.mjs'
import { SHAPES, makeBert } from './random-bert.mjs'

const here = dirname(fileURLToPath(import.meta.url))
const TINY = join(here, '..', '__test__', 'data', 'tiny-models')
/** f32 sums in another order; half precision keeps directions. */
const LIMITS = { f32: { far: 1e-4 }, bf16: { cosine: 0.999 }, f16: { cosine: 0.999 } }
const BATCHES = [1, 8, 32, 128, 512]
const LENGTHS = [16, 128, 512]

/** What Python has: the folders of NVIDIA's libraries, and whether there is torch with a GPU. */
const FIND = `
import importlib.util, json, os, sys
folders = []
for path in sys.path:
    for root, _, files in os.walk(os.path.join(path, 'nvidia')):
        if any('.so.' in name or name.endswith('.dll') for name in files): folders.append(root)
try:
    import torch, sentence_transformers
    ready = torch.cuda.is_available()
except Exception: ready = False
print(json.dumps({ 'folders': folders, 'torch': ready }))
`

function python(words, options = {}) {
  try {
    return execFileSync('python3', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], ...options })
  } catch {
    return undefined
  }
}

/** Names the libraries of Python's wheels, where nothing else is named; before the binary is loaded. */
function findLibraries() {
  const found = JSON.parse(python(['-c', FIND]) ?? '{ "folders": [], "torch": false }')
  if (!process.env.EMBED_NATIVE_CUDA_LIBS && !process.env.CUDA_HOME) {
    process.env.EMBED_NATIVE_CUDA_LIBS = found.folders.join(delimiter)
  }
  return found
}

function cosine(a, b) {
  let [dot, left, right] = [0, 0, 0]
  for (let index = 0; index < a.length; index++) {
    dot += a[index] * b[index]
    left += a[index] ** 2
    right += b[index] ** 2
  }
  return dot / Math.sqrt(left * right || 1)
}

/** The worst of a model's texts against the reference. */
async function worst(Embedder, folder, golden, options) {
  const embedder = await Embedder.load(folder, options)
  const found = { far: 0, cosine: 1 }
  for (const { text, prompt_name: prompt, embedding } of golden.items) {
    const vector = await embedder.embed(text, { normalize: true, ...(prompt && { prompt }) })
    for (const [index, value] of vector.entries()) found.far = Math.max(found.far, Math.abs(value - embedding[index]))
    if (embedding.some((value) => value !== 0)) found.cosine = Math.min(found.cosine, cosine(vector, embedding))
  }
  embedder.dispose()
  return found
}

async function parity({ Embedder }, device) {
  for (const name of readdirSync(TINY)) {
    const file = join(TINY, name, 'golden.json')
    const golden = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
    if (!golden.items?.[0]?.embedding) continue
    for (const [dtype, limit] of Object.entries(LIMITS)) {
      try {
        const { far, cosine } = await worst(Embedder, join(TINY, name), golden, { device, dtype })
        if (limit.far) verdict(`${name} ${dtype}: largest difference`, far, limit.far, { digits: 7 })
        else verdict(`${name} ${dtype}: least cosine`, cosine, limit.cosine, { atLeast: true, digits: 6 })
      } catch (error) {
        console.log(`${name} ${dtype}: ${error.code} ${error.message}`)
        if (error.code !== 'ERR_UNSUPPORTED') process.exitCode = 1
      }
    }
  }
}

/** `words` words are about as many tokens of the tiny tokenizer. */
const text = (words, seed) =>
  Array.from({ length: words - 2 }, (_, place) => 'abcdefgh'[(seed + place * 7) % 8]).join(' ')

async function median(rounds, work) {
  const times = []
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    await work()
    times.push(performance.now() - start)
  }
  return times.sort((a, b) => a - b)[rounds >> 1]
}

async function speed({ Embedder }, device, folder, name, torch) {
  const start = performance.now()
  const embedder = await Embedder.load(folder, { device })
  console.log(`\n${name}: loaded in ${(performance.now() - start).toFixed(0)} ms as ${embedder.info.dtype}`)
  for (const words of LENGTHS) {
    for (const batch of BATCHES) {
      const texts = Array.from({ length: batch }, (_, seed) => text(words, seed))
      const { usage } = await embedder.embed(texts)
      const time = await median(5, () => embedder.embed(texts))
      const rate = ((usage.tokens / time) * 1000).toFixed(0)
      console.log(`${name}: ${batch} texts of ${usage.tokens / batch} tokens: ${time.toFixed(2)} ms, ${rate} tokens/s`)
    }
  }
  const single = text(16, 0)
  console.log(`${name}: one text of 16 tokens: ${(await median(50, () => embedder.embed(single))).toFixed(2)} ms`)
  embedder.dispose()
  if (torch) console.log(python([join(here, 'gpu_peer.py'), folder]) ?? `${name}: sentence-transformers failed`)
  else console.log(`${name}: sentence-transformers: not run, Python here has no torch with a GPU`)
}

/** Another process takes the device's memory but for so many megabytes, until it is told to end. */
async function hog(megabytes, work) {
  const child = spawn('python3', [join(here, 'gpu_peer.py'), '--hog', String(megabytes)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  try {
    await work()
  } finally {
    child.stdin.end()
  }
}

async function fullMemory({ Embedder }, device, folder, torch) {
  if (!torch) return console.log('\nfull memory: not run, it takes torch to fill it')
  const embedder = await Embedder.load(folder, { device, dtype: 'f32' })
  const texts = Array.from({ length: 256 }, (_, seed) => text(512, seed))
  const before = await embedder.embed(texts)
  await hog(600, async () => {
    const during = await embedder.embed(texts)
    const least = Math.min(...during.map((vector, index) => cosine(vector, before[index])))
    verdict('full memory: least cosine of what was computed in parts', least, 0.99999, { atLeast: true, digits: 6 })
    const refused = await Embedder.load(folder, { device, dtype: 'f16' }).then(
      () => 'loaded',
      ({ code }) => code,
    )
    console.log(`full memory: a model more: ${refused}`)
  })
  const after = await embedder.embed(texts[0])
  verdict('full memory: and after', cosine(after, before[0]), 0.99999, { atLeast: true, digits: 6 })
  embedder.dispose()
}

async function budget({ Models, Embedder }, device) {
  const models = new Models({ memoryBudget: 50e6 })
  for (const name of ['bert-mean', 'qwen3-last']) {
    models.register(name, { folder: join(TINY, name), device })
    await models.launch(name)
  }
  const [first, second] = [await models.get('bert-mean', Embedder), await models.get('qwen3-last', Embedder)]
  await Promise.all([first.embed('a fox'), second.embed('a fox')])
  console.log(`\ntwo models under a budget: ${JSON.stringify(models.stats())}`)
  first.dispose()
  second.dispose()
  models.stopAll()
}

async function main() {
  const { values } = parseArgs({ options: { device: { type: 'string' }, shapes: { type: 'string' } } })
  const { torch } = findLibraries()
  const library = await import('@x/embed-native')
  const all = library.devices()
  for (const one of all) console.log(JSON.stringify(one))
  const usable = all.find(
    ({ device, usable }) => usable && (values.device ? device === values.device : device !== 'cpu'),
  )
  if (!usable) {
    console.log('No GPU that a model can run on: nothing was checked. The reasons stand above.')
    process.exitCode = 2
    return
  }
  const { device } = usable
  console.log(`checking ${device}, ${library.machine().binary}\n`)
  await parity(library, device)
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-gpu-'))
  const names = values.shapes?.split(',') ?? Object.keys(SHAPES)
  for (const name of names) {
    const place = makeBert(join(folder, name), SHAPES[name], join(TINY, 'bert-mean'))
    await speed(library, device, place, name, torch)
  }
  await fullMemory(library, device, join(folder, names[names.length - 1]), torch && device.startsWith('cuda'))
  await budget(library, device)
  rmSync(folder, { recursive: true })
}

await main()
