/**
 * The same text gives the same bits: in batches of 1, 7, 64 and 500, in any order, with 1 or 2 threads, in any process.
 * Checked for each kernel family named (EMBED_NATIVE_ISA). Families may differ from each other in the last bits, and by how
 * much is printed.
 */
import { createHash } from 'node:crypto'

import { Embedder } from '@x/embed-native'

import { loadTexts } from './data.mjs'
import { asWords, loadOptions, measureAlone, readOptions } from './options.mjs'
import { verdict } from './report.mjs'

const BATCHES = [1, 7, 64, 500]
const SAMPLE = 20

const options = await readOptions(
  'Checks that the same text always gives the same bits.',
  { kernels: { type: 'string' }, texts: { type: 'string' }, child: { type: 'boolean', default: false } },
  `
  --kernels <a,b>     checks each of these kernel families; default: the one the library chooses
  --texts <n>         how many texts, default 500; a few for the generic kernels, which are slow by design`,
)

/** Short and long texts mixed, so that batches are ragged. */
function mixedTexts() {
  const count = options.smoke ? 26 : Number(options.texts ?? 500)
  const { short, long } = loadTexts(options.data, { long: Math.ceil(count / 8) })
  const every = 8
  const mixed = short.flatMap((text, index) =>
    index % every === 0 && long[index / every] ? [text, long[index / every]] : [text],
  )
  return mixed.slice(0, count)
}

/** A fixed shuffle: a failure must come again. */
function shuffled(length) {
  const order = Array.from({ length }, (_, index) => index)
  let state = 12345
  for (let last = length - 1; last > 0; last--) {
    state = (state * 1103515245 + 12345) % 2 ** 31
    const other = state % (last + 1)
    ;[order[last], order[other]] = [order[other], order[last]]
  }
  return order
}

/** Vectors by the index of their text, embedded in this order and in batches of this size. */
async function embedInOrder(embedder, texts, order, size) {
  const vectors = []
  for (let first = 0; first < order.length; first += size) {
    const members = order.slice(first, first + size)
    const found = await embedder.embed(members.map((index) => texts[index]))
    members.forEach((index, place) => {
      vectors[index] = found[place]
    })
  }
  return vectors
}

const bits = (vector) => createHash('sha256').update(vector).digest('base64')

/** What one process found: the hash of each text's bits, and in how many cases a batch or an order changed them. */
async function child() {
  const texts = mixedTexts()
  const embedder = await Embedder.load(options.model, loadOptions(options))
  const inOrder = texts.map((_, index) => index)
  const first = await embedInOrder(embedder, texts, inOrder, texts.length)
  const expected = first.map(bits)
  let changed = 0
  for (const order of [inOrder, inOrder.toReversed(), shuffled(texts.length)]) {
    for (const size of BATCHES) {
      const found = (await embedInOrder(embedder, texts, order, size)).map(bits)
      changed += found.filter((hash, index) => hash !== expected[index]).length
    }
  }
  const { kernel } = embedder.info
  embedder.dispose()
  return { kernel, texts: texts.length, expected, changed, sample: first.slice(0, SAMPLE).map((vector) => [...vector]) }
}

/** Two processes with 1 thread and two with 2, of one kernel family. */
async function checkFamily(name) {
  const env = name ? { EMBED_NATIVE_ISA: name } : {}
  const own = options.texts ? ['--texts', options.texts] : []
  const runs = []
  for (const threads of options.smoke ? [1, 2] : [1, 2, 1, 2]) {
    runs.push(await measureAlone('same-bits.mjs', [...asWords({ ...options, threads }), ...own, '--child'], env))
  }
  const [{ kernel, texts, expected, sample }] = runs
  const inBatches = runs.reduce((sum, { changed }) => sum + changed, 0)
  const between = runs.flatMap((run) => run.expected.filter((hash, index) => hash !== expected[index])).length
  verdict(`${kernel}: ${texts} texts, bits changed by batch or order`, inBatches, 0, { digits: 0 })
  verdict(`${kernel}: ${texts} texts, bits changed by threads or process`, between, 0, { digits: 0 })
  return { kernel, sample }
}

function printDistances([first, ...others]) {
  for (const { kernel, sample } of others) {
    const differences = sample.flatMap((vector, row) =>
      vector.map((value, column) => Math.abs(value - first.sample[row][column])),
    )
    console.log(`  ${kernel} is at most ${Math.max(...differences).toExponential(1)} from ${first.kernel}`)
  }
}

if (options.child) {
  console.log(JSON.stringify(await child()))
} else {
  const families = []
  for (const name of options.kernels?.split(',') ?? [undefined]) families.push(await checkFamily(name))
  printDistances(families)
}
