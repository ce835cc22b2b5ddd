/** Chapter 10b: many models in one process: names, uids, one budget, settings. Settings belong to the process, so cases that need others are processes. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Embedder, Models, Reranker } from '@x/embed-native'
import { afterEach, expect, test } from 'vitest'

import { bits, checkChild, checkFault, checkRejects, loadTiny, refusal, tiny } from './support.js'

const models = new Models({ memoryBudget: 2e9, maxLength: 128 })
const names = { bert: 'bert-mean', modern: 'modernbert-mean', nomic: 'nomic-bert-biased', qwen: 'qwen3-last' }

for (const [name, folder] of Object.entries(names)) models.register(name, { folder: tiny(folder), dtype: 'f32' })
models.register('scores', { folder: tiny('rerank-bert'), task: 'rerank' })

afterEach(() => void models.stopAll())

/** What a synchronous call throws. */
function thrown(call: () => unknown): Error & { code?: string } {
  try {
    call()
  } catch (error) {
    return error as Error & { code?: string }
  }
  throw new Error('it should have thrown')
}

test('four models under one budget give the vectors of each alone', async () => {
  const texts = Array.from({ length: 40 }, (_, index) => `text ${index}`)
  await Promise.all(Object.keys(names).map((name) => models.launch(name)))
  const together = await Promise.all(
    Object.keys(names).map(async (name) => {
      const embedder = await models.get(name, Embedder)
      return embedder.embed(texts).finally(() => embedder.dispose())
    }),
  )
  for (const [index, folder] of Object.values(names).entries()) {
    const alone = await loadTiny(folder, { maxLength: 128 })
    expect(together[index]!.map(bits), folder).toEqual((await alone.embed(texts)).map(bits))
  }
  const { held, shared, ready } = models.stats()
  expect(ready).toBe(4)
  expect(held).toBeGreaterThan(0)
  expect(held).toBeLessThan(shared!)
})

test('launch describes what runs; list and registrations say what there is', async () => {
  const running = await models.launch('bert', { uid: 'mine', device: 'cpu' })
  expect(running).toMatchObject({ uid: 'mine', model: 'bert', task: 'embed', state: 'ready' })
  expect(running.info).toMatchObject({ dims: 48, maxLength: 128 })
  expect(models.list()).toEqual([running])
  expect(models.registrations().map(({ name }) => name)).toEqual(['bert', 'modern', 'nomic', 'qwen', 'scores'])
  models.terminate('mine')
  expect(models.list()).toEqual([])
  await checkFault(models.get('mine'), 'ERR_UNKNOWN_MODEL')
})

test('get gives the class that was launched', async () => {
  await Promise.all([models.launch('scores'), models.launch('bert')])
  const plain = await models.get('scores')
  expect(plain).toBeInstanceOf(Reranker)
  plain.dispose()
  const reranker = await models.get('scores', Reranker)
  expect((await reranker.rerank('a', ['b', 'c'])).length).toBe(2)
  reranker.dispose()
  await checkRejects(models.get('bert', Reranker), 'ERR_INVALID_ARGUMENT', /is of class Embedder, not Reranker/)
  await checkRejects(models.get('bert', Map as never), 'ERR_INVALID_ARGUMENT', /Embedder, Reranker, Classifier/)
})

test('a handle outlives its uid; disposing it leaves the others', async () => {
  await models.launch('bert')
  const [first, second] = await Promise.all([models.get('bert', Embedder), models.get('bert', Embedder)])
  const before = bits(await first.embed('hello'))
  first.dispose()
  models.terminate('bert')
  expect(bits(await second.embed('hello'))).toBe(before)
  await checkFault(first.embed('hello'), 'ERR_DISPOSED')
  expect(models.stats()).toMatchObject({ running: 0 })
  expect(models.stats().held).toBeGreaterThan(0)
  await second[Symbol.asyncDispose]()
  await expect.poll(() => models.stats().held).toBe(0)
})

test('a registration has providers and several devices, and comes back as it was given', async () => {
  const pair = models.register('pair', { folder: tiny('bert-mean'), device: ['cuda:0', 'cuda:1'] })
  expect(pair).toEqual({ name: 'pair', folder: tiny('bert-mean'), task: 'embed', device: ['cuda:0', 'cuda:1'] })
  await checkRejects(models.launch('pair', { device: ['cuda:8', 'cuda:9'] }), 'ERR_DEVICE', /"cuda:8".*there is cpu/)
  await checkRejects(models.launch('pair', { device: ['cpu', 'cuda:0'] }), 'ERR_INVALID_ARGUMENT', /several different/)
  expect((await models.launch('pair', { device: 'cpu' })).info?.device).toBe('cpu')
  const graph = {
    folder: tiny('bert-mean'),
    backend: 'onnx',
    dtype: 'int8',
    providers: ['coreml', 'directml'],
  } as const
  expect(models.register('graph', graph)).toMatchObject(graph)
  await checkRejects(models.launch('graph'), 'ERR_BACKEND', /onnxruntime/)
  models.register('odd', { folder: tiny('bert-mean'), providers: ['cpu'] })
  await checkRejects(models.launch('odd'), 'ERR_INVALID_ARGUMENT', /providers .*with backend "onnx"/)
})

test('names and uids are given once', async () => {
  expect(models.register('bert', { folder: tiny('bert-mean'), dtype: 'f32' }).task).toBe('embed')
  expect(thrown(() => models.register('bert', { folder: tiny('modernbert-mean') })).code).toBe('ERR_DUPLICATE')
  for (const name of ['default', 'org/model']) {
    expect(thrown(() => models.register(name, { folder: 'x' })).code, name).toBe('ERR_DUPLICATE')
  }
  await models.launch('bert')
  await checkFault(models.launch('bert'), 'ERR_DUPLICATE')
  await models.launch('bert', { restart: true })
  await checkRejects(models.launch('brt'), 'ERR_UNKNOWN_MODEL', /did you mean "bert"/)
  expect(thrown(() => models.terminate('nobody')).code).toBe('ERR_UNKNOWN_MODEL')
})

test('wrong arguments are refused by name', async () => {
  const wrong: [() => unknown, RegExp][] = [
    [() => new Models({ memoryBuget: 1 } as never), /did you mean "memoryBudget"/],
    [() => new Models({ memoryBudget: Number.NaN }), /memoryBudget must be a whole number/],
    [() => new Models({ lengthBuckets: [] }), /lengthBuckets/],
    [
      () => new Models({ memoryBudget: 2 ** 53 - 1 }),
      /memoryBudget: 9007199254740991 bytes are more than .*there is cpu/,
    ],
    [() => new Models(null as never), /must be an object/],
    [() => new Models({ preset: 'fast' as never }), /there are default, performance/],
    [() => new Models({ memoryBudget: '2e9' as never }), /whole number from 1 to \d+, or null for no limit, got "2e9"/],
    [() => models.register('x', { folder: 'x', task: 'sing' as never }), /"embed" or "rerank" or "classify"/],
    [() => models.register('x', { folder: 'x', dtype: 'b16' as never }), /dtype must be .* \(did you mean "bf16"\?\)/],
    [
      () => models.register('x', { folder: 'x', backend: 'ort' as never }),
      /backend must be "native" or "candle" or "onnx"/,
    ],
    [() => models.register('x', { folder: 'x', device: 'gpu' as never }), /device "gpu" is none; use "auto", "cpu"/],
    [() => models.register('x', { folder: 'x', pooling: 'averge' as never }), /pooling must be "cls"/],
    [() => models.register('x', { folder: 'x', providers: ['cude'] as never }), /providers\[0\] .*did you mean "cuda"/],
    [() => models.register('x', {} as never), /folder/],
    [() => models.register('x', { folder: 'x', providers: 'cpu' as never }), /providers must be an array/],
    [() => models.register(7 as never, { folder: 'x' }), /register: name/],
    [() => models.terminate('' as never), /terminate: uid/],
  ]
  for (const [call, words] of wrong) {
    const error = thrown(call)
    expect(error.code, error.message).toBe('ERR_INVALID_ARGUMENT')
    expect(error.message).toMatch(words)
  }
  for (const [call, words] of [
    [
      () => new Models({ memoryBudget: Infinity }),
      /memoryBudget must be .*, or null for no limit, got the number Infinity$/,
    ],
    [() => new Models({ memoryBudget: 0 }), /from 1 to \d+, or null for no limit, got 0$/],
    [
      () => models.register('x', { folder: 'x', maxLength: 2 ** 31 }),
      /maxLength must be a whole number from 1 to 2147483647/,
    ],
  ] as const) {
    expect(thrown(call), String(words)).toMatchObject({ name: 'RangeError', code: 'ERR_INVALID_ARGUMENT' })
    expect(thrown(call).message).toMatch(words)
  }
  await checkRejects(models.launch('bert', { udi: 'x' } as never), 'ERR_INVALID_ARGUMENT', /unknown option "udi"/)
  await checkRejects(models.launch('bert', { uid: ' x' }), 'ERR_INVALID_ARGUMENT', /uid/)
  expect(models.list()).toEqual([])
})

test('settings that differ are refused; none, or the same, join', () => {
  expect(new Models().settings).toEqual(models.settings)
  expect(new Models({ maxLength: 128, memoryBudget: 2e9 }).settings).toEqual(models.settings)
  const error = thrown(() => new Models({ memoryBudget: 1e9 }))
  expect(error.code).toBe('ERR_SETTINGS')
  expect(error.message).toMatch(/memoryBudget is 2000000000 and not 1000000000|maxLength is 128/)
})

test('the presets are these', () => {
  const [plain, performance] = models.presets()
  expect(plain).toMatchObject({ preset: 'default', warmUp: false, maxLength: 512 })
  expect(performance).toMatchObject({ preset: 'performance', warmUp: true, batchBuckets: [1, 2, 3, 4, 5, 6, 7, 8] })
  expect(performance!.lengthBuckets).toEqual([512, 1024, 1536, 2048, 2560, 3072, 3584, 4096])
})

test('a file: overrides win over it, it wins over the preset; broken ones load nothing', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-'))
  const write = (name: string, text: string): string => {
    writeFileSync(join(folder, name), text)
    return join(folder, name)
  }
  for (const [name, text, words] of [
    ['cut.json', '{', /not valid JSON/],
    ['key.json', '{ "warmup": true }', /did you mean "warmUp"/],
    ['model.json', '{ "models": { "new": { "folder": "x" }, "odd": { "folde": "x" } } }', /did you mean "folder"/],
  ] as const) {
    const error = thrown(() => new Models({ config: write(name, text) }))
    expect([error.code, error.message]).toEqual(['ERR_SETTINGS', expect.stringMatching(words)])
  }
  expect(thrown(() => new Models({ config: join(folder, 'gone') })).code).toBe('ERR_SETTINGS')
  expect(models.registrations().map(({ name }) => name)).not.toContain('new')
  const file = {
    preset: 'performance',
    maxLength: 32,
    lengthBuckets: [8],
    memoryBudget: 1e9,
    models: { tiny: { folder: tiny('bert-mean') } },
  }
  const config = write('good.json', JSON.stringify(file))
  const script = `
    import { Models, Embedder } from '@x/embed-native'
    const models = new Models({ config: ${JSON.stringify(config)}, memoryBudget: 5e8 })
    const { memoryBudget, maxLength, warmUp, lengthBuckets, configuredModels } = models.settings
    const { info } = await models.launch('tiny')
    console.log(JSON.stringify([memoryBudget, maxLength, warmUp, lengthBuckets, configuredModels, info.maxLength]))
  `
  await checkChild(script, JSON.stringify([5e8, 32, true, [8], 1, 32]))
})

test('a model that does not fit is refused before it is loaded', async () => {
  const script = `
    import { Models } from '@x/embed-native'
    const models = new Models({ memoryBudget: 100_000 })
    models.register('tiny', { folder: process.env.TINY })
    const error = await models.launch('tiny').catch((error) => error)
    const [, enough] = /raise memoryBudget to (\\d+) bytes/.exec(error.message)
    console.log(error.code, models.list().length, models.stats().held, error.message.includes('  '), enough > 100_000)
  `
  await checkChild(script, 'ERR_BUDGET 0 0 false true')
})

test('a name of a hub is registered as a folder, and its launch says how to have one', async () => {
  models.register('named', { folder: 'org/name' })
  const says = /org.name" is no folder: .*`await download\(name\)` brings it and gives its folder/
  await checkRejects(models.launch('named'), 'ERR_MODEL_NOT_FOUND', says)
  expect(models.list()).toEqual([])
})

test('idle models are let go and loaded again; the process still ends', async () => {
  const script = `
    import { setTimeout as pause } from 'node:timers/promises'
    import { Models, Embedder } from '@x/embed-native'
    const models = new Models({ idleTimeout: 50 })
    models.register('tiny', { folder: process.env.TINY })
    await models.launch('tiny')
    while (models.list()[0].state !== 'idle') await pause(5)
    const held = models.stats().held
    const embedder = await models.get('tiny', Embedder)
    console.log(held, (await embedder.embed('hello')).length, models.list()[0].state)
  `
  await checkChild(script, '0 48 ready')
})

test('a launch that takes too long, or is stopped, leaves nothing', async () => {
  const script = `
    import { Models } from '@x/embed-native'
    const models = new Models({ loadTimeout: 1, warmUp: true, batchBuckets: [1024], lengthBuckets: [512] })
    models.register('tiny', { folder: process.env.TINY })
    const error = await models.launch('tiny').catch((error) => error)
    console.log(error.code, models.list().length)
  `
  await checkChild(script, 'ERR_DEADLINE 0')
  const stopping = new AbortController()
  const launch = models.launch('modern', { signal: stopping.signal })
  stopping.abort()
  expect((await refusal(launch)).name).toBe('AbortError')
  expect(models.list()).toEqual([])
  await models.launch('modern')
})

test('worker threads see the same registry', async () => {
  const script = `
    import { Worker } from 'node:worker_threads'
    import { Models, Embedder } from '@x/embed-native'
    const models = new Models({ memoryBudget: 1e9 })
    models.register('tiny', { folder: process.env.TINY })
    await models.launch('tiny', { uid: 'shared' })
    const code = "const { parentPort } = require('node:worker_threads'); const { Models, Embedder } = require('@x/embed-native');" +
      "(async () => { const models = new Models(); const e = await models.get('shared', Embedder);" +
      "let code; try { new Models({ memoryBudget: 5 }) } catch (error) { code = error.code }" +
      "const hex = Buffer.from((await e.embed('hello')).buffer).toString('hex');" +
      "models.terminate('shared'); parentPort.postMessage([hex, code]) })()"
    const mine = Buffer.from((await (await models.get('shared', Embedder)).embed('hello')).buffer).toString('hex')
    const worker = new Worker(code, { eval: true, execArgv: [] })
    const [hex, fault] = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    console.log(hex === mine, fault, models.list().length)
  `
  await checkChild(script, 'true ERR_SETTINGS 0')
})

test('stats add up the work of the whole process', async () => {
  const before = models.stats().work
  const embedder = await loadTiny()
  const { usage, timing } = await embedder.embed(['one', 'two words'])
  const after = models.stats().work
  expect([after.texts - before.texts, after.tokens - before.tokens]).toEqual([2, usage.tokens])
  expect(after.inference - before.inference).toBeCloseTo(timing.inference, 3)
})

test('stopAll terminates all that runs and gives their number', async () => {
  await Promise.all([models.launch('bert'), models.launch('bert', { uid: 'second' }), models.launch('scores')])
  expect(models.stopAll()).toBe(3)
  expect(models.list()).toEqual([])
  expect(models.stopAll()).toBe(0)
  await expect.poll(() => models.stats().held).toBe(0)
})
