/** Chapter 7b: other executors. The same folder on candle, and its ONNX export on a user's ONNX Runtime. */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, sep } from 'node:path'

import { machine, Reranker } from '@x/embed-native'
import { describe, expect, test } from 'vitest'

import { checkChild, checkRejects, data, loadTiny, tiny } from './support.js'

const adapter = data('adapters', 'bert-mean-lora')
/** Libraries of ONNX Runtime; a process keeps its first, so each is tried in a child. */
const libraries = (process.env.EMBED_NATIVE_TEST_ORT ?? '').split(delimiter).filter(Boolean)

test('candle says what it is', async () => {
  const { info } = await loadTiny('bert-mean', { backend: 'candle' })
  expect(info).toMatchObject({ backend: 'candle', device: 'cpu', dtype: 'f32', batchInvariant: false })
  const native = await loadTiny()
  // The same numbers but for rounding: an index need not be made again.
  expect(info.fingerprint).toBe(native.info.fingerprint)
})

test('an adapter that makes a cross-encoder makes no embedder', async () => {
  await checkRejects(loadTiny('bert-mean', { adapter }), 'ERR_MODEL_UNSUPPORTED', /Reranker\.load/)
})

test('an adapter on candle gives what it gives on native', async () => {
  const scores = async (backend: 'candle' | 'native'): Promise<number[]> => {
    const reranker = await Reranker.load(tiny('bert-mean'), { adapter, backend, dtype: 'f32' })
    const ranked = await reranker.rerank('a query', ['a fox', 'a long text about nothing much'], { score: 'logit' })
    return ranked.sort((a, b) => a.index - b.index).map(({ score }) => score)
  }
  const [candle, native] = [await scores('candle'), await scores('native')]
  for (const [index, score] of candle.entries()) expect(Math.abs(score - native[index]!)).toBeLessThan(1e-5)
})

test.each([
  ['candle', { dtype: 'int8' }, 'ERR_UNSUPPORTED', /"candle" computes in f32 on the CPU/],
  ['native', { device: 'cuda' }, 'ERR_DEVICE', /"native" computes on cpu; GPUs are for "candle"/],
  ['onnx', { device: 'metal' }, 'ERR_DEVICE', /"onnx" computes on cpu/],
  ['onnx', { dtype: 'bf16' }, 'ERR_UNSUPPORTED', /"onnx" computes in f32, f16, int8/],
  ['native', { onnxFile: 'model.onnx' }, 'ERR_UNSUPPORTED', /onnxFile .*goes with backend "onnx"/],
  ['onnx', { onnxFile: '../model.onnx' }, 'ERR_INVALID_ARGUMENT', /below the model's folder/],
] as const)('%s refuses %j by name', async (backend, options, code, message) => {
  await checkRejects(loadTiny('bert-mean', { backend, ...options }), code, message)
})

const TERMINATE = `
  import { Worker } from 'node:worker_threads'
  import { once } from 'node:events'
  import { Embedder } from '@x/embed-native'
  const load = JSON.parse(process.env.LOAD)
  const code = \`
    import { parentPort } from 'node:worker_threads'
    import { Embedder } from '@x/embed-native'
    const embedder = await Embedder.load(process.env.TINY, \${JSON.stringify(load)})
    parentPort.postMessage('ready')
    for (;;) await embedder.embed(Array(300).fill('a text that takes a while to read'))
  \`
  const embedder = await Embedder.load(process.env.TINY, load)
  const before = await embedder.embed('a fox')
  const workers = Array.from({ length: 20 }, () => new Worker(code, { eval: true }))
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  await Promise.all(workers.map((worker) => worker.terminate()))
  const after = await embedder.embed('a fox')
  console.log(Buffer.compare(Buffer.from(before.buffer), Buffer.from(after.buffer)))
`

const EXIT = `
  import { Embedder } from '@x/embed-native'
  const embedder = await Embedder.load(process.env.TINY, JSON.parse(process.env.LOAD))
  embedder.embed(Array(2000).fill('a text that takes a while to read'))
  setTimeout(() => { console.log('bye'); process.exit(0) }, 20)
`

test('20 workers on candle may be terminated in mid-call', async () => {
  await checkChild(TERMINATE, '0', { LOAD: '{"backend":"candle"}' })
})

test('the process may end while candle computes', async () => {
  await checkChild(EXIT, 'bye', { LOAD: '{"backend":"candle"}' })
})

describe.skipIf(libraries.length === 0)('onnx', () => {
  const LOAD = '{"backend":"onnx","dtype":"int8"}'

  test.each(libraries)('%s gives the vectors of the export', async (library) => {
    const script = `
      import { readFileSync } from 'node:fs'
      import { Embedder, similarity } from '@x/embed-native'
      const embedder = await Embedder.load(process.env.TINY, JSON.parse(process.env.LOAD))
      const { items } = JSON.parse(readFileSync(process.env.TINY + '/golden.json', 'utf8'))
      const known = items.filter((item) => item.int8_onnx_token_mean)
      const vectors = await embedder.embed(known.map((item) => item.text))
      const cosine = (v, i) => similarity(v, Float32Array.from(known[i].int8_onnx_token_mean))
      console.log(known.length > 3, Math.min(...vectors.map(cosine)) >= 0.999, embedder.info.batchInvariant)
    `
    await checkChild(script, 'true true false', { LOAD, ORT_DYLIB_PATH: library })
  })

  test('20 workers may be terminated in mid-call', async () => {
    await checkChild(TERMINATE, '0', { LOAD, ORT_DYLIB_PATH: libraries[0]! })
  })

  test('the process may end in mid-call', async () => {
    await checkChild(EXIT, 'bye', { LOAD, ORT_DYLIB_PATH: libraries[0]! })
  })

  test('onnxruntime-node is found where the user installed it', async () => {
    const inside = `${sep}node_modules${sep}onnxruntime-node${sep}`
    const npm = libraries.find((library) => library.includes(inside))
    expect(npm).toBeDefined()
    const folder = await mkdtemp(join(tmpdir(), 'embed-native-app-'))
    await mkdir(join(folder, 'node_modules'))
    const installed = npm!.slice(0, npm!.indexOf(inside) + inside.length)
    await symlink(dirname(join(installed, 'package.json')), join(folder, 'node_modules', 'onnxruntime-node'))
    const script = `
      import { Embedder } from '@x/embed-native'
      process.chdir(${JSON.stringify(folder)})
      const { info } = await Embedder.load(process.env.TINY, JSON.parse(process.env.LOAD))
      console.log(info.kernel.split(' ')[0])
    `
    await checkChild(script, 'onnxruntime', { LOAD, ORT_DYLIB_PATH: '' })
    await rm(folder, { recursive: true })
  })
})

test.each([
  ['none at all', '', /npm install onnxruntime-node/],
  ['a file that is no library', join(tiny('bert-mean'), 'config.json'), /config\.json/],
  ['a file that is not there', '/nowhere/libonnxruntime.so', /nowhere/],
])('a missing or wrong library is named: %s', async (_, library, message) => {
  const script = `
    import { Embedder } from '@x/embed-native'
    const failed = await Embedder.load(process.env.TINY, { backend: 'onnx', dtype: 'int8' }).catch((error) => error)
    console.log(failed.code, ${message}.test(failed.message))
    const native = await Embedder.load(process.env.TINY)
    console.log((await native.embed('still here')).length)
  `
  await checkChild(script, 'ERR_BACKEND true\n48', { ORT_DYLIB_PATH: library })
})

/** Places of an ELF header: its class, 32 or 64 bits, and its processor. */
test.runIf(process.platform === 'linux').each([
  [
    'for another processor',
    (file: Buffer) => file.fill(0xf3, 0x12, 0x13),
    /does not load as ONNX Runtime: .*broken\.so/,
  ],
  ['of 32 bits', (file: Buffer) => file.fill(1, 0x04, 0x05), /does not load as ONNX Runtime: .*wrong ELF class/],
  ['cut short', (file: Buffer) => file.subarray(0, file.length / 2), /it was cut short/],
  ['empty', () => Buffer.alloc(0), /does not load as ONNX Runtime: .*too short/],
  ['of something else', (file: Buffer) => file, /a library without OrtGetApiBase/],
])('a library %s is named with its reason', async (_, change, message) => {
  const folder = await mkdtemp(join(tmpdir(), 'embed-native-library-'))
  const library = join(folder, 'broken.so')
  await writeFile(library, change(await readFile(machine().binary as string)))
  const script = `
    import { devices, Embedder } from '@x/embed-native'
    const failed = await Embedder.load(process.env.TINY, { backend: 'onnx', dtype: 'int8' }).catch((error) => error)
    const driver = devices().find(({ device }) => device.startsWith('cuda'))
    console.log(failed.code, ${message}.test(failed.message) || failed.message, driver.usable, driver.reason.includes('broken.so'))
  `
  await checkChild(script, 'ERR_BACKEND true false true', {
    ORT_DYLIB_PATH: library,
    EMBED_NATIVE_CUDA_DRIVER: library,
  })
  await rm(folder, { recursive: true })
})
