/** Models by name: from a hub on loopback that answers as the real one does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import { cache, download, Embedder, type LoadProgress } from '@x/embed-native'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { COMMIT, type Hub, NAME, read, sha, startHub } from './hub.js'
import { bits, checkChild, checkFault, data, loadTiny, refusal, root, tiny } from './support.js'

let hub: Hub
let endpoint: string
let cacheDir: string

beforeAll(async () => {
  hub = await startHub()
  endpoint = hub.endpoint
})

afterAll(() => hub.close())

beforeEach(() => {
  cacheDir = mkdtempSync(join(tmpdir(), 'embed-native-hub-'))
  hub.asked = []
  hub.silent = false
})

// What was stopped may still be writing its last piece.
afterEach(() => vi.waitFor(() => rmSync(cacheDir, { recursive: true, force: true }), 5000))

test('a model by name gives the bits of its folder, and downloads only what it needs', async () => {
  const seen: LoadProgress[] = []
  const embedder = await Embedder.load(NAME, { endpoint, cacheDir, onProgress: (progress) => seen.push(progress) })
  const folder = await loadTiny('bert-mean', { dtype: 'auto' })
  expect(bits(await embedder.embed('red fox'))).toBe(bits(await folder.embed('red fox')))
  expect(embedder.info.model).toBe(NAME)
  expect(embedder.info.revision).toBe(COMMIT)
  expect(folder.info).not.toHaveProperty('revision')
  expect(embedder.info.fingerprint).toBe(folder.info.fingerprint)
  const last = seen.at(-1)!
  expect(last.received).toBe(last.total)
  expect(last.timeLeft).toBe(0)
  expect(hub.asked.filter((url) => url.includes('golden.json'))).toEqual([])
  expect(hub.asked.filter((url) => url.includes('model.safetensors')).length).toBe(1)
})

test('what is in the cache needs no network', async () => {
  await checkFault(Embedder.load(NAME, { endpoint, cacheDir, offline: true }), 'ERR_OFFLINE')
  expect(hub.asked).toEqual([])
  await Embedder.load(NAME, { endpoint, cacheDir })
  hub.asked = []
  const seen: LoadProgress[] = []
  await Embedder.load(NAME, { endpoint, cacheDir, offline: true, onProgress: (progress) => seen.push(progress) })
  await Embedder.load(NAME, { endpoint, cacheDir, revision: COMMIT })
  expect(hub.asked).toEqual([])
  expect(seen).toEqual([])
})

test('an abort rejects at once, and the process needs no answer of the hub to go on', async () => {
  hub.silent = true
  const controller = new AbortController()
  const loading = Embedder.load(NAME, { endpoint, cacheDir, signal: controller.signal })
  setTimeout(() => controller.abort(), 50)
  const start = performance.now()
  expect((await refusal(loading)).name).toBe('AbortError')
  expect(performance.now() - start).toBeLessThan(1000)
})

test('what a listener throws rejects the load', async () => {
  const onProgress = (): void => {
    throw new Error('mine')
  }
  expect((await refusal(Embedder.load(NAME, { endpoint, cacheDir, onProgress }))).message).toBe('mine')
})

test.for([
  ['an unknown model', 'org/unknown', {}, 'ERR_MODEL_NOT_FOUND'],
  ['no name', '../../etc', {}, 'ERR_MODEL_NOT_FOUND'],
  ['an odd endpoint', NAME, { endpoint: 'file:///etc' }, 'ERR_SETTINGS'],
  ['a token of two lines', NAME, { token: 'hf_a\nb' }, 'ERR_SETTINGS'],
  ['nobody there', NAME, { endpoint: 'http://127.0.0.1:9', revision: 'main' }, 'ERR_NETWORK'],
] as const)('%s is an error with a code', async ([, name, options, code]) => {
  const error = await checkFault(Embedder.load(name, { endpoint, cacheDir, ...options }), code)
  expect(error.message).not.toContain('hf_a')
})

test('a revision that leaves its folder is a wrong argument', async () => {
  const error = await refusal(Embedder.load(NAME, { endpoint, cacheDir, revision: '../x' }))
  expect(error).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARGUMENT' })
})

test('a worker loads by name, and may be terminated while it downloads', async () => {
  const script = `
    import { parentPort, workerData } from 'node:worker_threads'
    import { Embedder } from ${JSON.stringify(pathToFileURL(join(root, 'dist/index.mjs')))}
    const embedder = await Embedder.load(workerData.name, workerData.options)
    parentPort.postMessage(embedder.info.revision)`
  const start = (): Worker =>
    new Worker(new URL(`data:text/javascript,${encodeURIComponent(script)}`), {
      workerData: { name: NAME, options: { endpoint, cacheDir } },
    })
  hub.silent = true
  const first = start()
  while (hub.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  await first.terminate()
  hub.silent = false
  const revision = await new Promise((resolve, reject) => start().on('message', resolve).on('error', reject))
  expect(revision).toBe(COMMIT)
})

test('a download gives the folder and opens nothing; then no network is needed', async () => {
  const seen: LoadProgress[] = []
  const onProgress = (progress: LoadProgress): void => void seen.push(progress)
  const brought = await download(NAME, { endpoint, cacheDir, onProgress })
  expect(brought).toEqual({ name: NAME, revision: COMMIT, folder: expect.stringContaining(cacheDir) })
  expect(seen.at(-1)!.received).toBe(seen.at(-1)!.total)
  hub.asked = []
  await Embedder.load(brought.folder, { dtype: 'f32' })
  expect(await download(NAME, { cacheDir, offline: true })).toEqual(brought)
  expect(hub.asked).toEqual([])
  expect(await download(tiny('bert-mean'))).toEqual({ name: tiny('bert-mean'), folder: tiny('bert-mean') })
  await checkFault(download('org/unknown', { endpoint, cacheDir }), 'ERR_MODEL_NOT_FOUND')
  await checkFault(download('./no such folder'), 'ERR_MODEL_NOT_FOUND')
  expect(await refusal(download('', {}))).toMatchObject({ name: 'TypeError', code: 'ERR_INVALID_ARGUMENT' })
  expect(await refusal(download(NAME, { threads: 1 } as object))).toMatchObject({ code: 'ERR_INVALID_ARGUMENT' })
})

test('a download is stopped by its signal', async () => {
  hub.silent = true
  expect((await refusal(download(NAME, { endpoint, cacheDir, signal: AbortSignal.timeout(50) }))).name).toBe(
    'TimeoutError',
  )
})

test('what a hub holds as pickles only becomes safetensors in the cache, once', async () => {
  const pickled = await startHub({ folder: data('broken-models/pickle-only') })
  try {
    const options = { endpoint: pickled.endpoint, cacheDir, dtype: 'f32' } as const
    const embedder = await Embedder.load(NAME, options)
    const expected = await (await Embedder.load(data('broken-models/ok-base'), { dtype: 'f32' })).embed('red fox')
    expect(bits(await embedder.embed('red fox'))).toBe(bits(expected))
    expect(pickled.asked.some((url) => url.endsWith('pytorch_model.bin'))).toBe(true)
    pickled.asked = []
    await Embedder.load(NAME, options)
    await Embedder.load(NAME, { cacheDir, offline: true })
    expect(pickled.asked.filter((url) => !url.startsWith('/api/'))).toEqual([])
    expect(await cache.verify(NAME, { cacheDir })).toEqual([])
    const [model] = await cache.list({ cacheDir })
    const made = join(model!.revisions[0]!.folder, 'model.safetensors')
    writeFileSync(made, 'damaged')
    expect(await cache.verify(NAME, { cacheDir })).toHaveLength(1)
    expect(bits(await (await Embedder.load(NAME, options)).embed('red fox'))).toBe(bits(expected))
  } finally {
    pickled.close()
  }
})

test('a certificate of an unknown authority is refused, and taken where the authority is named', async () => {
  const secure = await startHub({ secure: true })
  try {
    const options = { endpoint: secure.endpoint, cacheDir }
    const error = await checkFault(download(NAME, options), 'ERR_NETWORK')
    expect(error.message).toMatch(/certificate/i)
    for (const name of ['NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE']) {
      const script = `
        import { download } from '@x/embed-native'
        const { revision } = await download('${NAME}', ${JSON.stringify({ ...options, cacheDir: join(cacheDir, name) })})
        console.log(revision)`
      const others = { REQUESTS_CA_BUNDLE: '', CURL_CA_BUNDLE: '', SSL_CERT_FILE: '', NODE_EXTRA_CA_CERTS: '' }
      await checkChild(script, COMMIT, { ...others, [name]: data('tls', 'authority.pem') })
    }
  } finally {
    secure.close()
  }
})

test('the cache is listed, verified, pruned and emptied', async () => {
  expect(await cache.folder({ cacheDir })).toBe(cacheDir)
  expect(await cache.list({ cacheDir })).toEqual([])
  await Embedder.load(NAME, { endpoint, cacheDir })
  const [model] = await cache.list({ cacheDir })
  expect(model).toMatchObject({ name: NAME, revisions: [{ commit: COMMIT, refs: ['main'] }] })
  expect(model!.revisions[0]!.files).toContain('model.safetensors')
  expect(await cache.size({ cacheDir })).toBe(model!.size)
  expect(await cache.verify(NAME, { cacheDir })).toEqual([])
  await checkFault(cache.verify('org/unknown', { cacheDir }), 'ERR_MODEL_NOT_FOUND')
  const blob = join(cacheDir, 'models--org--tiny', 'blobs', sha(read('model.safetensors')))
  writeFileSync(blob, 'other')
  expect(await cache.verify(undefined, { cacheDir })).toMatchObject([{ name: NAME, path: blob }])
  await Embedder.load(NAME, { endpoint, cacheDir })
  expect(await cache.verify(NAME, { cacheDir })).toEqual([])
  expect(await cache.prune({ cacheDir })).toBe(0)
  expect(await cache.remove(NAME, { cacheDir })).toBeGreaterThan(0)
  expect(await cache.list({ cacheDir })).toEqual([])
  await checkFault(cache.remove('../x', { cacheDir }), 'ERR_MODEL_NOT_FOUND')
  const signal = AbortSignal.abort()
  expect(await refusal(cache.verify(undefined, { cacheDir, signal }))).toBe(signal.reason)
})
