/**
 * onnxruntime-node, favoured where there is a choice: token ids are given, batches are sorted by length, tensors are made
 * beforehand, and pooling is left out. It loads a tokenizer, the smallest there is, as any program with texts must; the first
 * vector is of a text. `node onnxruntime.mjs <scratch> <f32 | int8> <threads>`
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { readScratch, serve } from './contestant.mjs'

const BATCH = 32
const [scratch, dtype, threads] = process.argv.slice(2)
const requirePeer = createRequire(join(scratch, 'node', 'package.json'))
const { InferenceSession, Tensor } = requirePeer('onnxruntime-node')
const { Tokenizer } = requirePeer('@huggingface/tokenizers')
const file = { f32: 'model.onnx', int8: 'model_quantized.onnx' }[dtype]
const texts = readScratch(scratch, 'texts')
const sessions = {}
let tokenizer
let made

function open(folder) {
  return InferenceSession.create(readFileSync(join(scratch, folder, 'onnx', file)), {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
  })
}

/** Neighbours in length, padded to the longest of them. */
function batches(rows, types) {
  const sorted = rows.map((row, index) => ({ row, index })).sort((a, b) => a.row.length - b.row.length)
  const starts = Array.from({ length: Math.ceil(sorted.length / BATCH) }, (_, number) => number * BATCH)
  return starts.map((start) => batch(sorted.slice(start, start + BATCH), types))
}

function batch(members, types) {
  const width = Math.max(...members.map(({ row }) => row.length))
  const blank = () => new BigInt64Array(members.length * width)
  const [words, mask, kinds] = [blank(), blank(), blank()]
  members.forEach(({ row, index }, place) => {
    words.set(row.map(BigInt), place * width)
    mask.fill(1n, place * width, place * width + row.length)
    if (types) kinds.set(types[index].map(BigInt), place * width)
  })
  const tensor = (values) => new Tensor('int64', values, [members.length, width])
  const feeds = { input_ids: tensor(words), attention_mask: tensor(mask), token_type_ids: tensor(kinds) }
  return { feeds, members, width }
}

/** The mean of a text's rows. */
function pooled({ data, dims }, place, width, tokens) {
  const sum = new Float32Array(dims[2])
  for (let at = place * width; at < place * width + tokens; at++) {
    for (let column = 0; column < sum.length; column++) sum[column] += data[at * sum.length + column]
  }
  return sum
}

function openTokenizer() {
  const read = (name) => JSON.parse(readFileSync(join(scratch, 'embed', name), 'utf8'))
  return new Tokenizer(read('tokenizer.json'), read('tokenizer_config.json'))
}

/** The tensors of every workload. Made once, when the vectors are asked for and no clock runs: a first vector needs none of them. */
function prepared() {
  made ??= prepare(readScratch(scratch, 'ids'))
  return made
}

const prepare = (ids) => ({
  ids,
  one: ids.one.map((row) => batch([{ row, index: 0 }])),
  short: batches(ids.short),
  long: batches(ids.long),
  pairs: batches(ids.pairs, ids.types),
})

await serve({
  load: async () => {
    sessions.embed = await open('embed')
    tokenizer = openTokenizer()
  },
  first: () => sessions.embed.run(batch([{ row: tokenizer.encode(texts.one[0]).ids, index: 0 }]).feeds),
  embed: async (kind, count) => {
    if (count === undefined) {
      for (const { feeds } of prepared()[kind]) await sessions.embed.run(feeds)
      return []
    }
    const vectors = []
    for (const { feeds, members, width } of batches(prepared().ids[kind].slice(0, count))) {
      const { last_hidden_state: hidden } = await sessions.embed.run(feeds)
      members.forEach(({ row, index }, place) => {
        vectors[index] = pooled(hidden, place, width, row.length)
      })
    }
    return vectors
  },
  embedOne: (index) => sessions.embed.run(prepared().one[index % texts.one.length].feeds),
  openReranker: async () => {
    sessions.rerank = await open('rerank')
  },
  rerank: async () => {
    for (const { feeds } of prepared().pairs) await sessions.rerank.run(feeds)
  },
})
