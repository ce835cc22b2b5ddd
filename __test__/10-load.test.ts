/** Chapter 1: loading a model, and letting it go. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Embedder } from '@x/embed-native'
import { expect, test } from 'vitest'

import { bits, checkChild, checkFault, child, loadTiny, refusal, tiny } from './support.js'

test('a model is a folder', async () => {
  const embedder = await Embedder.load(tiny('bert-mean'))
  expect((await embedder.embed('hello')).length).toBe(48)
})

test('models loaded twice give the same bits, and are disposed of one by one', async () => {
  const [first, second] = await Promise.all([loadTiny(), loadTiny()])
  const before = bits(await second.embed('hello'))
  expect(bits(await first.embed('hello'))).toBe(before)
  first.dispose()
  expect(bits(await second.embed('hello'))).toBe(before)
})

test('after dispose, calls under way complete and new ones are refused', async () => {
  const embedder = await loadTiny()
  const texts = Array.from({ length: 1500 }, (_, index) => `text ${index}`)
  const underWay = embedder.embed(texts)
  expect(embedder.disposed).toBe(false)
  embedder.dispose()
  embedder.dispose()
  expect(embedder.disposed).toBe(true)
  await checkFault(embedder.embed('too late'), 'ERR_DISPOSED')
  await checkFault(embedder.countTokens('too late'), 'ERR_DISPOSED')
  expect((await underWay).length).toBe(1500)
})

test('a handle is disposable; the asynchronous form waits for calls under way', async () => {
  const embedder = await loadTiny()
  let done = false
  const underWay = embedder.embed(['a', 'b']).then(() => {
    done = true
  })
  await embedder[Symbol.asyncDispose]()
  expect(done).toBe(true)
  await underWay
  const other = await loadTiny()
  other[Symbol.dispose]()
  expect(other.disposed).toBe(true)
})

test('files are read and closed: a loaded model does not need its folder', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-'))
  cpSync(tiny('bert-mean'), folder, { recursive: true })
  const embedder = await Embedder.load(folder, { dtype: 'f32' })
  rmSync(folder, { recursive: true })
  expect(bits(await embedder.embed('hello'))).toBe(bits(await (await loadTiny()).embed('hello')))
})

test('`new` is not the way in', () => {
  const Constructor = Embedder as unknown as new () => Embedder
  expect(() => new Constructor()).toThrowError(/Embedder\.load/)
})

test('loading can be aborted', async () => {
  const reason = new Error('changed my mind')
  expect(await refusal(Embedder.load(tiny('bert-mean'), { signal: AbortSignal.abort(reason) }))).toBe(reason)
  const controller = new AbortController()
  const loading = Embedder.load(tiny('bert-mean'), { signal: controller.signal })
  controller.abort(reason)
  expect(await refusal(loading)).toBe(reason)
})

test('a path is that of the call, wherever the process goes meanwhile', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-'))
  cpSync(tiny('bert-mean'), join(folder, 'org', 'name'), { recursive: true })
  const script = `
    import { cache, convert, download, Embedder } from '@x/embed-native'
    process.chdir(process.env.FOLDER)
    const begun = [
      Embedder.load('./org/name'),
      Embedder.load('org/name'),
      convert('org/name', { output: './new/../converted/.', dtype: 'bf16' }),
      download('org/name'),
      cache.folder({ cacheDir: 'cache' }),
    ]
    process.chdir('/')
    const [dotted, named, converted, brought, cacheDir] = await Promise.all(begun)
    console.log(JSON.stringify([dotted.info.model, named.info.model, converted.folder, brought.folder, cacheDir]))
  `
  const { output, errors } = await child(script, { FOLDER: folder })
  expect(JSON.parse(output || 'null'), errors).toEqual([
    './org/name',
    'org/name',
    join(folder, 'converted'),
    join(folder, 'org', 'name'),
    join(folder, 'cache'),
  ])
  rmSync(folder, { recursive: true })
})

test('paths in variables are those of the call, too', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-'))
  const script = `
    import { cache, Embedder } from '@x/embed-native'
    process.chdir(process.env.FOLDER)
    const begun = [cache.folder(), Embedder.load(process.env.TINY, { backend: 'onnx' }).catch(({ message }) => message)]
    process.chdir('/')
    console.log(JSON.stringify(await Promise.all(begun)))
  `
  const env = { FOLDER: folder, HF_HUB_CACHE: '', HF_HOME: 'hf', ORT_DYLIB_PATH: 'none.so' }
  const { output, errors } = await child(script, env)
  const [cacheDir, fault] = JSON.parse(output || '[]')
  expect(cacheDir, errors).toBe(join(folder, 'hf', 'hub'))
  expect(fault).toContain(`${join(folder, 'none.so')}: does not load`)
  rmSync(folder, { recursive: true })
})

test.skipIf(process.platform === 'win32')('a working directory that was removed is said', async () => {
  const script = `
    import { mkdtempSync, rmdirSync } from 'node:fs'
    import { cache, convert, Embedder } from '@x/embed-native'
    const folder = mkdtempSync('/tmp/embed-native-gone-')
    process.chdir(folder)
    rmdirSync(folder)
    const calls = [
      Embedder.load('./x'),
      cache.list({ cacheDir: 'x' }),
      convert(process.env.TINY, { output: 'x' }),
      Embedder.load('x'),
      Embedder.load(process.env.TINY, { backend: 'onnx' }),
      Embedder.load(process.env.TINY),
    ]
    const told = ({ code, message }) => code + (message.includes('working directory') ? ' said' : '')
    const ended = calls.map((call) => call.then(() => 'loaded', told))
    console.log((await Promise.all(ended)).join(', '))
  `
  const said = 'ERR_SETTINGS said'
  const expected = [said, said, said, 'ERR_MODEL_NOT_FOUND', 'ERR_BACKEND', 'loaded'].join(', ')
  await checkChild(script, expected, { ORT_DYLIB_PATH: '' })
})

test('maxLength lowers the limit, and threads are as asked', async () => {
  const embedder = await loadTiny('bert-mean', { maxLength: 8, threads: 1 })
  expect(embedder.info).toMatchObject({ maxLength: 8, threads: 1 })
  const { usage } = await embedder.embed(['short', 'a text that has far more than eight tokens in all'])
  expect(usage.truncated).toEqual([1])
})
