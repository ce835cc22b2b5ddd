/** Chapter 8: other kinds of models. Labels, weights of tokens, a vector a token: each class against the reference. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  type CallEvent,
  Classifier,
  Embedder,
  HybridEmbedder,
  type LoadOptions,
  type Matrix,
  Models,
  maxSim,
  MultiVectorEmbedder,
  type RequestOptions,
  Reranker,
  SparseEmbedder,
  type SparseVector,
  sparseSimilarity,
  type WithUsage,
} from '@x/embed-native'
import { expect, test } from 'vitest'

import { bits, checkFault, loadTiny, plainCosine, readJson, refusal, tiny } from './support.js'

interface Item {
  text: string
  task?: string
  n_tokens: number
  logits: number[]
  indices: number[]
  values: number[]
  vectors: number[][]
}

interface Heads {
  items: Item[]
  pairs: { query: string; document: string; logit_diff: number; n_tokens: number; body_truncated: boolean }[]
  maxsim_query_by_document: number[][]
}

const f32 = { dtype: 'f32' } as const

const golden = (name: string): Heads => readJson('tiny-models', name, 'golden.json')

/** Within a ten-thousandth of 1, or of the number where it is larger. */
function checkNear(label: string, actual: number, expected: number): void {
  expect(Math.abs(actual - expected), label).toBeLessThanOrEqual(1e-4 * Math.max(1, Math.abs(expected)))
}

/** A copy of a tiny model with other fields in its config. */
async function withConfig<Result>(
  name: string,
  fields: object,
  use: (folder: string) => Promise<Result>,
): Promise<Result> {
  const place = await mkdtemp(join(tmpdir(), 'heads-'))
  try {
    await cp(tiny(name), place, { recursive: true })
    const config = readJson<object>('tiny-models', name, 'config.json')
    await writeFile(join(place, 'config.json'), JSON.stringify({ ...config, ...fields }))
    return await use(place)
  } finally {
    await rm(place, { recursive: true })
  }
}

test('a classifier scores its labels, best first', async () => {
  const classifier = await Classifier.load(tiny('distilbert-labels'), { maxLength: 96, ...f32 })
  const labels = classifier.info.labels!
  expect(labels).toEqual(['LABEL_0', 'LABEL_1', 'LABEL_2'])
  for (const { text, logits } of golden('distilbert-labels').items) {
    const scored = await classifier.classify(text, { score: 'logit' })
    for (const { label, score } of scored) checkNear(text, score, logits[labels.indexOf(label)]!)
    expect(scored.map(({ score }) => score)).toEqual(scored.map(({ score }) => score).sort((a, b) => b - a))
    const shares = await classifier.classify(text)
    checkNear(
      text,
      shares.reduce((sum, { score }) => sum + score, 0),
      1,
    )
    expect(await classifier.classify(text, { topN: 1 })).toEqual(shares.slice(0, 1))
  }
  const texts = golden('distilbert-labels').items.map(({ text }) => text)
  const together = await classifier.classify(texts)
  for (const [index, text] of texts.entries()) expect(together[index]).toEqual([...(await classifier.classify(text))])
})

test('labels that exclude nothing are scored each by itself', async () => {
  await withConfig('distilbert-labels', { problem_type: 'multi_label_classification' }, async (folder) => {
    const classifier = await Classifier.load(folder)
    expect(await classifier.classify('a')).toEqual([...(await classifier.classify('a', { score: 'sigmoid' }))])
  })
})

test('a language model reranks by its answer, and takes an instruction', async () => {
  const reranker = await Reranker.load(tiny('judge-qwen3'), f32)
  for (const { query, document, logit_diff, n_tokens, body_truncated } of golden('judge-qwen3').pairs) {
    const ranked = await reranker.rerank(query, [document], { score: 'logit' })
    checkNear(query, ranked[0]!.score, logit_diff)
    expect([ranked.usage.tokens, ranked.usage.truncated.length]).toEqual([n_tokens, Number(body_truncated)])
  }
  const score = async (instruction?: string): Promise<number> =>
    (await reranker.rerank('fox', ['red'], { instruction, score: 'logit' }))[0]!.score
  const usual = 'Given a web search query, retrieve relevant passages that answer the query'
  expect(await score(usual)).toBe(await score())
  expect(await score('Find colours')).not.toBe(await score())
  const plain = await Reranker.load(tiny('rerank-bert'), f32)
  await checkFault(plain.rerank('a', ['b'], { instruction: 'Find' }), 'ERR_UNSUPPORTED')
})

test('two sparse vectors are compared by their dot product', async () => {
  const embedder = await SparseEmbedder.load(tiny('splade-bert-own'), f32)
  const [a, b] = await embedder.embed(['red fox', 'the red fox sleeps'])
  const dense = ({ indices, values }: SparseVector): Float32Array => {
    const all = new Float32Array(embedder.info.dims)
    for (const [at, index] of indices.entries()) all[index] = values[at]!
    return all
  }
  const [left, right] = [dense(a!), dense(b!)]
  const expected = left.reduce((sum, value, at) => sum + value * right[at]!, 0)
  expect(expected).toBeGreaterThan(0)
  expect(sparseSimilarity(a!, b!)).toBeCloseTo(expected, 5)
  expect(embedder.similarity(b!, a!)).toBe(sparseSimilarity(a!, b!))
  const sparse = (indices: number[], values: number[]): SparseVector => ({
    indices: Uint32Array.from(indices),
    values: Float32Array.from(values),
  })
  expect(sparseSimilarity(sparse([1, 5, 9], [1, 2, 4]), sparse([0, 5, 9, 10], [8, 3, 0.5, 8]))).toBe(8)
  expect(sparseSimilarity(sparse([], []), a!)).toBe(0)
  for (const [wrong, says] of [
    [left, /a must be \{ indices: Uint32Array, values: Float32Array \}.* an object \(Float32Array\)/],
    [sparse([1, 2], [1]), /2 indices and 1 values/],
    [sparse([2, 1], [1, 1]), /do not ascend, at indices\[1\]/],
    [sparse([1, 1], [1, 1]), /do not ascend/],
    // The largest index of all, so that it meets none.
    [sparse([1, 2 ** 32 - 1], [1, Number.NaN]), /a holds NaN, at values\[1\]; finite numbers are needed/],
    [sparse([2 ** 32 - 1], [Number.NEGATIVE_INFINITY]), /a holds -Infinity, at values\[0\]/],
  ] as const) {
    const compare = (): number => sparseSimilarity(wrong as SparseVector, a!)
    expect(compare).toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringMatching(says) }),
    )
  }
})

test('a sparse model weighs tokens of its vocabulary', async () => {
  const embedder = await SparseEmbedder.load(tiny('splade-bert-own'), f32)
  const { items } = golden('splade-bert-own')
  const together = await embedder.embed(items.map(({ text }) => text))
  for (const [index, { text, indices, values, n_tokens }] of items.entries()) {
    const vector = await embedder.embed(text)
    expect(vector.usage.tokens, text).toBe(n_tokens)
    const weights = new Map(Array.from(vector.indices, (id, at) => [id, vector.values[at]!]))
    for (const [at, id] of indices.entries()) checkNear(text, weights.get(id) ?? 0, values[at]!)
    expect([...vector.indices]).toEqual([...vector.indices].sort((a, b) => a - b))
    expect(bits(together[index]!.values)).toBe(bits(vector.values))
    expect(together[index]!.indices).toEqual(vector.indices)
  }
  await checkFault(embedder.embed('a', { prompt: 'nobody' }), 'ERR_PROMPT')
})

test('queries may be weighed by a table alone, whatever prompt stands before them', async () => {
  const embedder = await SparseEmbedder.load(tiny('splade-router'), f32)
  const { items } = readJson<Pick<Heads, 'items'>>('tiny-models', 'splade-router', 'golden-router.json')
  for (const { task, text, indices, values } of items.filter(({ task }) => task === 'query')) {
    const found = await embedder.embedQuery(text)
    expect([...found.indices], `${task}: ${text}`).toEqual(indices)
    for (const [at, value] of values.entries()) checkNear(text, found.values[at]!, value)
  }
  const prompted = await embedder.embedQuery('fox', { prompt: { text: 'find ' } })
  expect(prompted).toEqual(await embedder.embedQuery('find fox'))
  const { value: streamed } = await embedder.embedStream(['find fox'], { purpose: 'query' }).next()
  expect(streamed).toEqual({ ...prompted })
})

test('a late model keeps a vector a token, and maxSim compares them', async () => {
  const embedder = await MultiVectorEmbedder.load(tiny('late-pylate'), f32)
  const { items, maxsim_query_by_document } = golden('late-pylate')
  const made: Record<string, Matrix[]> = { query: [], document: [] }
  for (const { task, text, vectors } of items) {
    const matrix = await (task === 'query' ? embedder.embedQuery(text) : embedder.embedDocument(text))
    expect([matrix.rows, matrix.dims], text).toEqual([vectors.length, embedder.info.dims])
    for (const [at, value] of vectors.flat().entries()) expect(Math.abs(matrix[at]! - value)).toBeLessThanOrEqual(2e-5)
    made[task!]!.push(matrix)
  }
  for (const [q, query] of made.query!.entries()) {
    for (const [d, document] of made.document!.entries()) {
      checkNear(`${q} ${d}`, maxSim(query, document), maxsim_query_by_document[q]![d]!)
    }
  }
  const texts = items.slice(0, 6).map(({ text }) => text)
  const together = await embedder.embedQuery(texts)
  expect(together.map((matrix) => bits(matrix))).toEqual(made.query!.map((matrix) => bits(matrix)))
  expect(() => maxSim(new Float32Array(3) as Matrix, made.query![0]!)).toThrow(TypeError)
})

test('a kind that the model is not is refused, and what would work is named', async () => {
  const refusals: [() => Promise<unknown>, RegExp][] = [
    [() => Classifier.load(tiny('bert-mean')), /no sequence classifier.* Embedder\.load/],
    [() => Classifier.load(tiny('splade-bert-own')), /SparseEmbedder\.load/],
    [() => SparseEmbedder.load(tiny('bert-mean')), /weighs no tokens.* Embedder\.load/],
    [() => MultiVectorEmbedder.load(tiny('bert-mean')), /keeps no vectors of tokens.* Embedder\.load/],
    [() => HybridEmbedder.load(tiny('late-pylate')), /MultiVectorEmbedder\.load/],
    [() => Reranker.load(tiny('distilbert-labels')), /3 labels.*Classifier\.load/],
    [() => Embedder.load(tiny('rerank-bert')), /Reranker\.load/],
    [() => Embedder.load(tiny('late-pylate')), /MultiVectorEmbedder\.load/],
  ]
  for (const [load, said] of refusals) expect((await checkFault(load(), 'ERR_MODEL_UNSUPPORTED')).message).toMatch(said)
})

test('a hybrid model gives at once what three classes give of the same folder', async () => {
  const folder = tiny('bge-m3')
  const hybrid = await HybridEmbedder.load(folder, f32)
  const dense = await Embedder.load(folder, f32)
  const sparse = await SparseEmbedder.load(folder, f32)
  const late = await MultiVectorEmbedder.load(folder, f32)
  const texts = golden('bge-m3').items.map(({ text }) => text)
  const together = await hybrid.embed(texts)
  const streamed: typeof together = Object.assign([], together, { length: 0 })
  for await (const one of hybrid.embedStream(texts)) streamed.push(one)
  const [vectors, weights, matrices] = [
    await dense.embed(texts),
    await sparse.embed(texts),
    await late.embedDocument(texts),
  ]
  for (const [at, text] of texts.entries()) {
    const alone = await hybrid.embed(text)
    for (const found of [alone, together[at]!, streamed[at]!]) {
      expect(bits(found.dense), text).toBe(bits(vectors[at]!))
      expect(found.sparse.indices).toEqual(weights[at]!.indices)
      expect(bits(found.sparse.values)).toBe(bits(weights[at]!.values))
      expect([found.multiVector.rows, found.multiVector.dims]).toEqual([matrices[at]!.rows, matrices[at]!.dims])
      expect(bits(found.multiVector)).toBe(bits(matrices[at]!))
    }
    expect(alone.usage.tokens).toBe(golden('bge-m3').items[at]!.n_tokens)
  }
  expect(hybrid.info).toMatchObject({ dims: dense.info.dims, pooling: 'cls', normalizes: true })
  await checkFault(hybrid.embed('a', { prompt: 'nobody' }), 'ERR_PROMPT')
})

test('texts of an iterable are weighed, and embedded token by token, as they come', async () => {
  const texts = Array.from({ length: 150 }, (_, index) => `a text of some words, number ${index}`)
  const sparse = await SparseEmbedder.load(tiny('splade-bert-own'), f32)
  const weights = []
  for await (const vector of sparse.embedStream(texts)) weights.push(vector)
  expect(weights).toEqual([...(await sparse.embed(texts))])
  const late = await MultiVectorEmbedder.load(tiny('late-pylate'), f32)
  for (const purpose of ['query', 'document'] as const) {
    const rows = []
    for await (const matrix of late.embedStream(texts, { purpose })) rows.push(matrix)
    const method = purpose === 'query' ? 'embedQuery' : 'embedDocument'
    expect(rows.map(bits)).toEqual((await late[method](texts)).map(bits))
  }
  expect(() => sparse.embedStream(texts, { deadline: 1 } as object)).toThrow(/unknown option "deadline"/)
})

test('every kind counts tokens, and none but an embedder takes a pooling', async () => {
  for (const kind of kinds) {
    const model = await load(kind)
    const tokens = await model.countTokens(['a fox', ''])
    expect(tokens).toEqual([await model.countTokens('a fox'), await model.countTokens('')])
    expect(tokens[0]).toBeGreaterThan(tokens[1]!)
    expect((await refusal(load(kind, { pooling: 'cls' }))).code).toBe('ERR_INVALID_ARGUMENT')
  }
})

test('a long text may be read in windows by other kinds, where that means something', async () => {
  const long = 'the red fox met a blue whale and both were surprised. '.repeat(40)
  const sparse = await SparseEmbedder.load(tiny('splade-bert-own'), f32)
  const [cut, whole] = [await sparse.embed(long), await sparse.embed(long, { onOverflow: 'chunk' })]
  expect([cut.usage.truncated, whole.usage.truncated]).toEqual([[0], []])
  const weights = new Map(Array.from(whole.indices, (id, at) => [id, whole.values[at]!]))
  for (const [at, id] of cut.indices.entries()) expect(weights.get(id)).toBeGreaterThanOrEqual(cut.values[at]!)
  const late = await MultiVectorEmbedder.load(tiny('late-pylate'), f32)
  const rows = await late.embedDocument(long, { onOverflow: 'chunk' })
  expect(rows.rows).toBeGreaterThan((await late.embedDocument(long)).rows)
  await checkFault(late.embedQuery(long, { onOverflow: 'chunk' }), 'ERR_UNSUPPORTED')
  const classifier = await Classifier.load(tiny('distilbert-labels'))
  expect((await refusal(classifier.classify(long, { onOverflow: 'chunk' } as object))).code).toBe(
    'ERR_INVALID_ARGUMENT',
  )
})

test('maxSim refuses what is no number, and matrices that are none', async () => {
  const matrix = (values: number[], rows: number, dims: number): Matrix =>
    Object.assign(Float32Array.from(values), { rows, dims }) as Matrix
  expect(maxSim(matrix([3, 4], 1, 2), matrix([1, 0, 0, 1], 2, 2))).toBe(4)
  expect(maxSim(matrix([3, 4], 1, 2), matrix([], 0, 2))).toBe(0)
  expect(() => maxSim(matrix([Number.NaN, 4], 1, 2), matrix([1, 0], 1, 2))).toThrow(/query\[0\] is NaN/)
  expect(() => maxSim(matrix([1, 4], 1, 2), matrix([1, Infinity], 1, 2))).toThrow(/document\[1\] is inf/)
  expect(() => maxSim(matrix([1, 2, 3, 4, 5], 2, 2.5), matrix([1, 0], 1, 2))).toThrow(TypeError)
})

test('a long text may be read in windows', async () => {
  const embedder = await loadTiny('bert-mean')
  const long = 'the red fox met a blue whale and both were surprised. '.repeat(40)
  const vector = await embedder.embed(long, { onOverflow: 'chunk' })
  expect(vector.usage.tokens).toBeGreaterThan(await embedder.countTokens(long))
  expect(vector.usage.truncated).toEqual([])
  checkNear('length', plainCosine(vector, vector), 1)
  const [short, again] = await embedder.embed(['fox', long], { onOverflow: 'chunk' })
  expect(bits(again!)).toBe(bits(vector))
  expect(bits(short!)).toBe(bits(await embedder.embed('fox')))
  // The length that is asked for changes no direction.
  const raw = await embedder.embed(long, { onOverflow: 'chunk', normalize: false })
  checkNear('direction', plainCosine(raw, vector), 1)
  expect(plainCosine(raw, vector)).toBeGreaterThan(0.999999)
  const reranker = await Reranker.load(tiny('rerank-bert'), f32)
  const ranked = await reranker.rerank('fox', [long, 'fox'], { onOverflow: 'chunk', score: 'logit' })
  const plain = await reranker.rerank('fox', [long, 'fox'], { score: 'logit' })
  const scoreOf = (found: typeof plain, index: number): number => found.find((hit) => hit.index === index)!.score
  expect(ranked.usage.truncated).toEqual([])
  expect(scoreOf(ranked, 1)).toBe(scoreOf(plain, 1))
  expect(scoreOf(ranked, 0)).toBeGreaterThanOrEqual(scoreOf(plain, 0))
})

test('labels that disagree with the head are refused', async () => {
  for (const fields of [
    { id2label: { 0: 'a', 1: 'b' } },
    { id2label: { 0: 'a', 2: 'b', 3: 'c' } },
    { id2label: { 0: 'a', 1: 'b', 2: 'c' }, num_labels: 4 },
    { id2label: ['a', 'b', 'c'] },
  ]) {
    await withConfig('distilbert-labels', fields, (folder) => checkFault(Classifier.load(folder), 'ERR_MODEL_FILE'))
  }
})

/** A kind of model: what `Models` calls it, its folder, its class, a call. */
interface Kind {
  task: 'rerank' | 'classify' | 'sparse' | 'late' | 'hybrid'
  folder: string
  Class:
    | typeof Reranker
    | typeof Classifier
    | typeof SparseEmbedder
    | typeof MultiVectorEmbedder
    | typeof HybridEmbedder
  /** `texts` are ones that a call may be long over. */
  call(model: unknown, texts: string[], options?: RequestOptions): Promise<WithUsage<object[]>>
}

const kinds: Kind[] = [
  {
    task: 'rerank',
    folder: 'judge-qwen3',
    Class: Reranker,
    call: (model, texts, options) => (model as Reranker).rerank('fox', texts, options),
  },
  {
    task: 'classify',
    folder: 'distilbert-labels',
    Class: Classifier,
    call: (model, texts, options) => (model as Classifier).classify(texts, options),
  },
  {
    task: 'sparse',
    folder: 'splade-bert-own',
    Class: SparseEmbedder,
    call: (model, texts, options) => (model as SparseEmbedder).embed(texts, options),
  },
  {
    task: 'late',
    folder: 'late-pylate',
    Class: MultiVectorEmbedder,
    call: (model, texts, options) => (model as MultiVectorEmbedder).embedDocument(texts, options),
  },
  {
    task: 'hybrid',
    folder: 'bge-m3',
    Class: HybridEmbedder,
    call: (model, texts, options) => (model as HybridEmbedder).embed(texts, options),
  },
]

const load = ({ Class, folder }: Kind, options?: LoadOptions): ReturnType<Kind['Class']['load']> =>
  Class.load(tiny(folder), options)

for (const kind of kinds) {
  const { task, Class, folder, call } = kind

  test(`${Class.name}: priority, deadline, signal, timing, counters and events are those of every kind`, async () => {
    const events: CallEvent[] = []
    const listener = (event: unknown): void => void events.push(event as CallEvent)
    const model = await load(kind, { maxQueue: 20_000 })
    subscribe('embed-native:call', listener)
    const found = await call(model, ['one', 'two'], { priority: 'background', truncationSide: 'left' })
    expect(found.length).toBe(2)
    expect(found.usage.tokens).toBeGreaterThan(0)
    expect(found.timing.inference).toBeGreaterThan(0)
    const many = Array.from({ length: 20_000 }, (_, index) => `a text of some words, number ${index}`)
    await checkFault(call(model, many, { deadline: 1 }), 'ERR_DEADLINE')
    const reason = new Error('enough')
    await expect(call(model, ['one'], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    await checkFault(call(model, [...many, 'one more']), 'ERR_OVERLOADED')
    unsubscribe('embed-native:call', listener)
    expect(model.stats()).toMatchObject({ calls: 1, failed: 3, texts: 2, tokens: found.usage.tokens, waiting: 0 })
    expect(events.map(({ texts, tokens }) => [texts, tokens])).toEqual([
      [2, found.usage.tokens],
      [20_000, 0],
      [1, 0],
      [20_001, 0],
    ])
    expect(events[0]!.model).toBe(tiny(folder))
  })

  test(`${Class.name}: in each number format, and disposed of when its last call ends`, async () => {
    for (const dtype of ['f32', 'bf16', 'int8'] as const) {
      const model = await load(kind, { dtype })
      expect(model.info.dtype).toBe(dtype)
      const pending = call(model, ['one', 'two'])
      await model[Symbol.asyncDispose]()
      expect((await pending).length).toBe(2)
      await checkFault(call(model, ['one']), 'ERR_DISPOSED')
    }
  })

  test(`${Class.name}: runs for the whole process under a uid`, async () => {
    const models = new Models()
    models.register(`kind-${task}`, { folder: tiny(folder), task })
    const uid = `running-${task}`
    expect(await models.launch(`kind-${task}`, { uid })).toMatchObject({ task, state: 'ready' })
    const model = await models.get(uid, Class as typeof Reranker)
    expect(model).toBeInstanceOf(Class)
    expect(await call(model, ['one'])).toEqual(await call(await load(kind), ['one']))
    const fault = await refusal(models.get(uid, Embedder))
    expect(fault).toMatchObject({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringContaining(Class.name) })
    models.terminate(uid)
    model.dispose()
  })
}

test('a graph runs no kind but embedders and classification heads, and says so', async () => {
  for (const kind of kinds.filter(({ Class }) => Class !== Classifier)) {
    const fault = await checkFault(load(kind, { backend: 'onnx' }), 'ERR_UNSUPPORTED')
    expect(fault.message).toMatch(/backend "onnx".*"native"/)
  }
})
