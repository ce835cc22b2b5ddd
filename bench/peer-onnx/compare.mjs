/**
 * Ours against ONNX Runtime, f32, same weights, same texts, same threads, in one process and in turns: A B A B …, so that
 * what else the machine does hits both. The peer is favoured where there is a choice: its token ids are given, its batches
 * are sorted by length, its tensors are made beforehand, and its pooling is left out. Ours is the whole of `embed`.
 *
 *     node bench/peer-onnx/compare.mjs --scratch <folder of setup.mjs> [--pairs 5] [--threads 2] [--peer-only] [--json file]
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { modelFolder } from '../../scripts/model.mjs'
import { machine, median, table } from '../report.mjs'

const BATCH = 32

// ONNX Runtime's threads spin for a moment after a run; they shall not spin into our turn.
const REST_MS = 300

/** Ours and the peer's vector of one text; f32 arithmetic in another order moves cosines less than this. */
const MIN_COSINE = 0.99999

const { values: options } = parseArgs({
  options: {
    scratch: { type: 'string', default: join(tmpdir(), 'embed-native-peer-onnx') },
    model: { type: 'string' },
    pairs: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
    'peer-only': { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})
const scratch = resolve(options.scratch)
const threads = Number(options.threads)

async function openPeer() {
  const peerRequire = createRequire(join(scratch, 'node', 'package.json'))
  const runtime = peerRequire('onnxruntime-node')
  const session = await runtime.InferenceSession.create(join(scratch, 'model.onnx'), {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
  })
  const { version } = peerRequire('onnxruntime-node/package.json')
  return { session, tensor: (values, shape) => new runtime.Tensor('int64', values, shape), version }
}

/** Batches of neighbours in length, padded to their longest. */
function makeBatches(peer, ids) {
  const sorted = ids.map((row, index) => ({ row, index })).sort((a, b) => a.row.length - b.row.length)
  const starts = Array.from({ length: Math.ceil(sorted.length / BATCH) }, (_, number) => number * BATCH)
  return starts.map((start) => makeBatch(peer, sorted.slice(start, start + BATCH)))
}

function makeBatch({ tensor }, members) {
  const shape = [members.length, Math.max(...members.map(({ row }) => row.length))]
  const [rows, width] = shape
  const blank = () => new BigInt64Array(rows * width)
  const [ids, mask] = [blank(), blank()]
  members.forEach(({ row }, place) => {
    ids.set(row.map(BigInt), place * width)
    mask.fill(1n, place * width, place * width + row.length)
  })
  const feeds = {
    input_ids: tensor(ids, shape),
    attention_mask: tensor(mask, shape),
    token_type_ids: tensor(blank(), shape),
  }
  return { feeds, members, width }
}

async function runPeer({ session }, batches) {
  for (const { feeds } of batches) await session.run(feeds)
}

/** Mean-pooled vectors of the first batch, by the index of their text. */
async function peerVectors({ session }, { feeds, members, width }) {
  const { data, dims } = (await session.run(feeds)).hidden
  return members.map(({ row, index }, place) => ({ index, vector: meanOf(data, place * width, row.length, dims[2]) }))
}

function meanOf(data, first, tokens, size) {
  const sum = new Float32Array(size)
  for (let token = first; token < first + tokens; token++) {
    for (let column = 0; column < size; column++) sum[column] += data[token * size + column]
  }
  return sum.map((value) => value / tokens)
}

async function openOurs() {
  const { Embedder, similarity } = await import('@x/embed-native')
  const embedder = await Embedder.load(options.model ?? (await modelFolder()), { threads, dtype: 'f32' })
  return { embedder, similarity }
}

/** A fast answer to another question is no answer: the first batch's vectors must agree. */
async function checkAgreement(peer, ours, batches, texts) {
  const vectors = await peerVectors(peer, batches[0])
  const own = await ours.embedder.embed(vectors.map(({ index }) => texts[index]))
  const worst = Math.min(...vectors.map(({ vector }, place) => ours.similarity(vector, own[place])))
  if (worst < MIN_COSINE) throw new Error(`the two disagree: cosine ${worst}, expected ≥ ${MIN_COSINE}`)
  return worst
}

async function timed(tokens, work) {
  await pause(REST_MS)
  const start = performance.now()
  await work()
  return tokens / ((performance.now() - start) / 1000)
}

/** Tokens per second of each, pair by pair, after one unmeasured turn of both. */
async function compare(peer, ours, texts, ids) {
  const batches = makeBatches(peer, ids)
  const tokens = ids.reduce((sum, row) => sum + row.length, 0)
  const cosine = ours && (await checkAgreement(peer, ours, batches, texts))
  const pairs = []
  for (let turn = 0; turn <= Number(options.pairs); turn++) {
    const own = ours && (await timed(tokens, () => ours.embedder.embed(texts)))
    const other = await timed(tokens, () => runPeer(peer, batches))
    if (turn > 0) pairs.push({ ours: own, peer: other, ratio: own && own / other })
  }
  return { texts: texts.length, tokens, cosine, pairs, median: medians(pairs) }
}

function medians(pairs) {
  const of = (key) => (pairs[0][key] === undefined ? undefined : median(pairs.map((pair) => pair[key])))
  return { ours: of('ours'), peer: of('peer'), ratio: of('ratio') }
}

const whole = (value) => (value === undefined ? '–' : Math.round(value).toLocaleString('en'))
const ratio = (value) => (value === undefined ? '–' : value.toFixed(3))

function print(results, header) {
  console.log(header)
  const rows = Object.entries(results).map(([kind, { texts, tokens, pairs, median: middle }]) => [
    kind,
    `${texts} texts, ${(tokens / texts).toFixed(1)} tokens each`,
    whole(middle.ours),
    whole(middle.peer),
    ratio(middle.ratio),
    pairs.map((pair) => ratio(pair.ratio)).join(' '),
  ])
  console.log(table(['texts', '', 'ours tokens/s', 'ONNX Runtime tokens/s', 'ratio', 'of each pair'], rows))
}

const peer = await openPeer()
const ours = options['peer-only'] ? undefined : await openOurs()
const texts = JSON.parse(readFileSync(join(scratch, 'texts.json'), 'utf8'))
const ids = JSON.parse(readFileSync(join(scratch, 'ids.json'), 'utf8'))
const results = {}
for (const kind of ['short', 'long']) results[kind] = await compare(peer, ours, texts[kind], ids[kind])
const about = {
  ...machine(),
  onnxruntime: peer.version,
  threads,
  kernel: ours?.embedder.info.kernel,
  origin: texts.origin,
}
print(results, `onnxruntime-node ${peer.version}, f32, ${threads} threads, ${about.cpu}, ${texts.origin}`)
if (options.json) writeFileSync(options.json, `${JSON.stringify({ about, results }, null, 2)}\n`)
ours?.embedder.dispose()
