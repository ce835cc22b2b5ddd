/**
 * What do weights and vectors of tokens cost beside one vector a text? One body, the model's own, with heads of random weights behind it:
 * each kind in turns with the plain embedder, on the same texts. Of the head over the vocabulary also the rate of its own multiply.
 *
 *     node bench/heads.mjs [folder] [--data <folder>] [--threads 1]
 */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Embedder, HybridEmbedder, MultiVectorEmbedder, SparseEmbedder } from '@x/embed-native'

import { loadTexts } from './data.mjs'
import { loadOptions, readOptions } from './options.mjs'
import { machine, machineLine, median, table } from './report.mjs'

/** Numbers of a small normal-like spread, the same in every run. */
function noise(count) {
  let state = 1
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return (state / 2 ** 32 - 0.5) / 10
  })
}

/** A file of tensors: its header, then their numbers. */
function safetensors(tensors, before = { header: {}, data: Buffer.alloc(0) }) {
  const header = { ...before.header }
  const data = [before.data]
  let at = before.data.length
  for (const [name, shape] of Object.entries(tensors)) {
    const values = noise(shape.reduce((product, dim) => product * dim, 1))
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + values.byteLength] }
    data.push(Buffer.from(values.buffer))
    at += values.byteLength
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, ...data])
}

/** A file's header and numbers, its tensors named as beside a head. */
function parsed(bytes) {
  const end = 8 + Number(bytes.readBigUInt64LE())
  const { __metadata__: _, ...own } = JSON.parse(bytes.subarray(8, end).toString())
  const header = Object.fromEntries(Object.entries(own).map(([name, about]) => [`bert.${name}`, about]))
  return { header, data: bytes.subarray(end) }
}

/** Copies of the model with the layers of bge-m3, and with a head over its vocabulary. */
async function folders(model, place) {
  const config = JSON.parse(await readFile(join(model, 'config.json'), 'utf8'))
  const { hidden_size: width, vocab_size: words } = config
  const hybrid = join(place, 'hybrid')
  await cp(model, hybrid, { recursive: true, dereference: true })
  await writeFile(join(hybrid, 'sparse_linear.safetensors'), safetensors({ weight: [1, width], bias: [1] }))
  await writeFile(join(hybrid, 'colbert_linear.safetensors'), safetensors({ weight: [width, width], bias: [width] }))
  const splade = join(place, 'splade')
  await cp(model, splade, { recursive: true, dereference: true })
  await writeFile(join(splade, 'config.json'), JSON.stringify({ ...config, architectures: ['BertForMaskedLM'] }))
  await rm(join(splade, 'modules.json'))
  const transform = 'cls.predictions.transform'
  const head = {
    [`${transform}.dense.weight`]: [width, width],
    [`${transform}.dense.bias`]: [width],
    [`${transform}.LayerNorm.weight`]: [width],
    [`${transform}.LayerNorm.bias`]: [width],
    'cls.predictions.bias': [words],
  }
  const body = parsed(await readFile(join(model, 'model.safetensors')))
  await writeFile(join(splade, 'model.safetensors'), safetensors(head, body))
  return { hybrid, splade, flops: 2 * (width * words + width * width) }
}

async function seconds(work) {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

/** Both in turns; seconds of each and the ratio of each pair, medians. */
async function inTurns(rounds, dense, other) {
  const pairs = []
  for (let round = 0; round <= rounds; round++) pairs.push([await seconds(dense), await seconds(other)])
  const measured = pairs.slice(1)
  return {
    dense: median(measured.map(([first]) => first)),
    other: median(measured.map(([, second]) => second)),
    ratio: median(measured.map(([first, second]) => first / second)),
  }
}

async function main() {
  const options = await readOptions('What weights and vectors of tokens cost beside one vector a text.')
  const rounds = options.smoke ? 1 : 9
  const { long: texts } = loadTexts(options.data, options.smoke ? { short: 4, long: 4 } : { short: 4, long: 100 })
  const place = await mkdtemp(join(tmpdir(), 'bench-heads-'))
  console.log(machineLine(machine()))
  try {
    const { hybrid, splade, flops } = await folders(options.model, place)
    const load = loadOptions(options)
    const maxLength = 128
    const dense = await Embedder.load(options.model, { ...load, maxLength })
    const { tokens } = (await dense.embed(texts)).usage
    const kinds = [
      ['weights of its own tokens', await SparseEmbedder.load(hybrid, { ...load, maxLength }), 'embed'],
      ['a vector a token', await MultiVectorEmbedder.load(hybrid, { ...load, maxLength }), 'embedDocument'],
      ['all three at once', await HybridEmbedder.load(hybrid, { ...load, maxLength }), 'embed'],
      ['weights of the vocabulary', await SparseEmbedder.load(splade, { ...load, maxLength }), 'embed'],
    ]
    const rows = []
    for (const [name, model, method] of kinds) {
      const found = await inTurns(
        rounds,
        () => dense.embed(texts),
        () => model[method](texts),
      )
      const rate = (flops * tokens) / (found.other - found.dense) / 1e9
      const own = name.endsWith('vocabulary') ? `${rate.toFixed(0)} GFLOP/s` : ''
      rows.push([name, Math.round(tokens / found.other), found.ratio.toFixed(2), own])
      model.dispose()
    }
    console.log(`${texts.length} texts, ${tokens} tokens, ${dense.info.threads} threads, ${dense.info.kernel}`)
    console.log(table(['output', 'tokens/s', 'of dense', 'its own multiply'], rows))
    dense.dispose()
  } finally {
    await rm(place, { recursive: true })
  }
}

await main()
