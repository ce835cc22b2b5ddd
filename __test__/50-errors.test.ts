/** Chapter 8: everything that can be wrong has a name, and the message says what was expected, what came, what to do. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Embedder, ModelError } from '@x/embed-native'
import { beforeAll, expect, test } from 'vitest'

import {
  bits,
  brokenModels,
  checkClose,
  checkFault,
  child,
  data,
  loadTiny,
  readJson,
  refusal,
  TINY,
  tiny,
} from './support.js'

let embedder: Embedder
let canary: string

beforeAll(async () => {
  embedder = await loadTiny()
  canary = bits(await embedder.embed('canary'))
})

/** Calls with arguments that TypeScript would refuse. */
// biome-ignore lint/suspicious/noExplicitAny: wrong arguments are the subject
const any = (value: unknown): any => value

async function checkArgument(
  call: Promise<unknown>,
  Kind: typeof TypeError | typeof RangeError,
  says: RegExp,
): Promise<void> {
  const error = await refusal(call)
  expect(error.constructor, error.message).toBe(Kind)
  expect(error.code).toBe('ERR_INVALID_ARGUMENT')
  expect(error.message).toMatch(says)
}

const wrongTexts: [string, () => unknown, RegExp][] = [
  ['nothing', () => undefined, /expected a string or an array of strings, got undefined/],
  ['null', () => null, /got null/],
  ['a number', () => 5, /got the number 5/],
  ['a bigint', () => 5n, /got the bigint 5/],
  ['a symbol', () => Symbol('text'), /got a symbol/],
  ['a function', () => () => 'text', /got a function/],
  ['an object', () => ({ text: 'a' }), /got an object/],
  ['a String object', () => new String('a'), /got an object \(String\)/],
  ['a Promise', () => Promise.resolve('a'), /await/],
  ['a Set', () => new Set(['a']), /got an object \(Set\)/],
  ['a number among texts', () => ['a', 'b', 'c', 7], /texts\[3\] to be a string, got the number 7/],
  ['null among texts', () => ['a', null], /texts\[1\] to be a string, got null/],
  ['a hole', () => new Array(3), /texts\[0\] to be a string, got undefined/],
  ['an array among texts', () => [['a']], /got an array of length 1/],
  ['a number far down', () => [...new Array(100_000).fill('a'), 7], /texts\[100000\] to be a string/],
  [
    'an object whose name throws',
    () => [
      {
        get [Symbol.toStringTag]() {
          throw new Error('no')
        },
      },
    ],
    /got an object/,
  ],
]

test.each(wrongTexts)('texts: %s', async (_, texts, says) => {
  await checkArgument(embedder.embed(any(texts())), TypeError, says)
  await checkArgument(embedder.embedQuery(any(texts())), TypeError, says)
  await checkArgument(embedder.countTokens(any(texts())), TypeError, says)
})

test('texts: an array that claims to be endless', async () => {
  const endless = new Proxy([] as string[], { get: (_, name) => (name === 'length' ? 2 ** 53 : 'a') })
  await checkArgument(embedder.embed(endless), RangeError, /at most 16777216 texts/)
})

test('texts: a getter that throws rejects with what it threw', async () => {
  const thrown = new Error('from a getter')
  const texts = Object.defineProperty(['a', 'b'], 1, {
    get: () => {
      throw thrown
    },
  })
  expect(await refusal(embedder.embed(texts))).toBe(thrown)
})

test('texts: a Proxy is read once, and an array may change after the call', async () => {
  let reads = 0
  const proxy = new Proxy(['a', 'b'], {
    get: (target, name, receiver) => {
      if (name === '0') reads++
      return Reflect.get(target, name, receiver)
    },
  })
  const [first] = await embedder.embed(proxy)
  expect(reads).toBe(1)
  const texts = ['a', 'b']
  const call = embedder.embed(texts)
  texts[0] = 'changed'
  texts.length = 1
  expect((await call).map(bits)).toEqual([bits(first!), bits(await embedder.embed('b'))])
})

const numbers: [unknown, typeof TypeError | typeof RangeError][] = [
  [0, RangeError],
  [-1, RangeError],
  [1.5, RangeError],
  [Number.NaN, RangeError],
  [Number.POSITIVE_INFINITY, RangeError],
  [2 ** 53, RangeError],
  ['8', TypeError],
  [null, TypeError],
  [8n, TypeError],
]

test.each(numbers)('numeric options: %s', async (value, Kind) => {
  const says = /must be a whole number from 1 to \d+, got/
  await checkArgument(
    embedder.embed('a', { dimensions: any(value) }),
    Kind,
    /options\.dimensions must be a whole number from 1 to 48/,
  )
  await checkArgument(Embedder.load(tiny('bert-mean'), { threads: any(value) }), Kind, says)
  await checkArgument(Embedder.load(tiny('bert-mean'), { maxLength: any(value) }), Kind, says)
  await checkArgument(embedder.topK(new Float32Array(4), new Float32Array(4), any(value)), Kind, says)
})

test('dimensions beyond the model', async () => {
  await checkArgument(embedder.embed('a', { dimensions: 49 }), RangeError, /from 1 to 48, got the number 49/)
})

test('maxLength beyond the model, and without room for text', async () => {
  const load = (maxLength: number): Promise<Embedder> => Embedder.load(tiny('bert-mean'), { maxLength })
  await checkArgument(load(2 ** 20), RangeError, /maxLength is 1048576; for this model it must be from 1 to/)
  await checkArgument(load(2), RangeError, /2/)
})

const wrongOptions: [string, unknown, RegExp][] = [
  ['null', null, /options must be an object, got null/],
  ['a string', 'query', /options must be an object, got the string "query"/],
  ['an array', ['query'], /options must be an object/],
  ['a typo', { dimension: 8 }, /unknown option "dimension".*Known options: prompt, dimensions/],
  ['a typo with no value', { dimension: undefined }, /unknown option "dimension"/],
  ['__proto__', JSON.parse('{"__proto__":1}'), /unknown option "__proto__"/],
  ['toString', { toString: 1 }, /unknown option "toString"/],
  ['priority', { priority: 'urgent' }, /"interactive" or "background"/],
  ['deadline', { deadline: '9' }, /deadline must be a whole number/],
  ['onOverflow', { onOverflow: 'cut' }, /"truncate" or "error" or "chunk", got the string "cut"/],
  ['output', { output: 'float64' }, /"float32" or "matrix" or "array"/],
  ['truncationSide', { truncationSide: 'middle' }, /"right" or "left"/],
  ['normalize', { normalize: 1 }, /options\.normalize must be true or false, got the number 1/],
  ['prompt', { prompt: 5 }, /name of a prompt or \{ text: string \}/],
  ['prompt.text', { prompt: { text: 5 } }, /name of a prompt or \{ text: string \}/],
  ['signal', { signal: {} }, /options\.signal must be an AbortSignal/],
  ['onProgress', { onProgress: true }, /options\.onProgress must be a function/],
]

test.each(wrongOptions)('options of embed: %s', async (_, options, says) => {
  await checkArgument(embedder.embed('a', any(options)), TypeError, says)
  await checkArgument(embedder.embedDocument([], any(options)), TypeError, says)
})

const wrongLoads: [string, unknown, unknown, RegExp][] = [
  ['a number', 5, undefined, /expected a model's folder or name, got the number 5/],
  ['null', null, undefined, /got null/],
  ['an empty name', '', undefined, /got the string ""/],
  ['a typo', 'x', { thread: 1 }, /unknown option "thread".*threads/],
  ['an option of embed', 'x', { normalize: true }, /unknown option "normalize"/],
  ['an option of other versions', 'x', { memoryBudget: 1 }, /"memoryBudget" is planned/],
  ['onnxFile', 'x', { onnxFile: '' }, /options\.onnxFile must be a name/],
  ['adapter', 'x', { adapter: 7 }, /options\.adapter must be a name/],
  ['device', 'x', { device: 0 }, /options\.device must be "auto", "cpu"/],
  ['no device', 'x', { device: [] }, /empty array/],
  ['one of the devices', 'x', { device: ['cpu', 7] }, /options\.device\[1\] must be .* got the number 7/],
  ['an unknown device', 'x', { device: 'gpu' }, /options\.device must be .* got the string "gpu"/],
  ['an unknown backend', 'x', { backend: 'typo' }, /options\.backend must be "native"/],
  ['an unknown number format', 'x', { dtype: 'f8' }, /options\.dtype must be "auto"/],
  ['an unknown pooling', 'x', { pooling: 'average' }, /options\.pooling must be "mean"/],
]

test.each(wrongLoads)('load: %s', async (_, model, options, says) => {
  await checkArgument(Embedder.load(any(model), any(options)), TypeError, says)
})

test('an option set to undefined is not set', async () => {
  const unset = { prompt: undefined, dimensions: undefined, output: undefined, signal: undefined }
  const vector = await embedder.embed<'float32'>('canary', unset)
  expect(bits(vector)).toBe(canary)
})

test('a method never throws: it rejects', () => {
  for (const call of [
    embedder.embed(any(1)),
    embedder.countTokens(any(1)),
    embedder.topK(any(1), any(1), 1),
    Embedder.load(any(1)),
  ]) {
    expect(call).toBeInstanceOf(Promise)
    call.catch(() => {})
  }
})

test('a folder that is not there: what to do is said', async () => {
  const error = await checkFault(Embedder.load(join(tmpdir(), 'no', 'such', 'model')), 'ERR_MODEL_NOT_FOUND')
  expect(error).toBeInstanceOf(ModelError)
  expect(error.name).toBe('ModelError')
  await checkFault(Embedder.load('some-org/some-model', { offline: true, cacheDir: tmpdir() }), 'ERR_OFFLINE')
  await checkFault(Embedder.load(mkdtempSync(join(tmpdir(), 'embed-native-empty-'))), 'ERR_MODEL_NOT_FOUND')
})

test('what this version does not have is refused, never replaced', async () => {
  await checkFault(Embedder.load(tiny('bert-mean'), { device: 'cuda' }), 'ERR_DEVICE')
  await checkFault(Embedder.load(tiny('bert-mean'), { dtype: 'f16' }), 'ERR_UNSUPPORTED')
})

test('an unknown prompt: the known ones are named', async () => {
  const modern = await loadTiny('modernbert-mean')
  const error = await checkFault(modern.embed('a', { prompt: 'title' }), 'ERR_PROMPT')
  expect(error.message).toMatch(/(query, document|document, query)/)
  await checkFault(modern.embed('a', { prompt: 'toString' }), 'ERR_PROMPT')
})

test.each([
  ['no processor', 'abacus'],
  ['only another processor', process.arch === 'arm64' ? 'avx2' : 'neon'],
])('a kernel in EMBED_NATIVE_ISA that %s has is refused', async (_, kernel) => {
  const script = `
    import { Embedder } from '@x/embed-native'
    await Embedder.load(process.env.TINY).catch((error) => console.log(error.name, error.code, error.message))
  `
  const { output, errors } = await child(script, { EMBED_NATIVE_ISA: kernel })
  expect(output, errors).toMatch(
    new RegExp(`^ModelError ERR_SETTINGS EMBED_NATIVE_ISA names "${kernel}".*it can run generic`),
  )
})

test('a binary that is not there', async () => {
  const script = `
    import { Embedder } from '@x/embed-native'
    await Embedder.load(process.env.TINY).catch((error) => console.log(error.name, error.code, error.message))
  `
  const { output, errors } = await child(script, { EMBED_NATIVE_BINDING: '/no/such/file.node' })
  expect(output, errors).toMatch(/^ModelError ERR_BINDING EMBED_NATIVE_BINDING names \/no\/such\/file\.node/)
})

interface Expectation {
  expect: 'load-ok' | 'error'
  about: string
  stage: string
  texts?: string[]
  embeddings?: number[][]
}

/** Codes of folders whose fault can be called by one name only. */
const codes: Record<string, string> = {
  'config-missing': 'ERR_MODEL_NOT_FOUND',
  'config-truncated': 'ERR_MODEL_FILE',
  'header-100mb-claim': 'ERR_MODEL_FILE',
  'header-length-lies': 'ERR_MODEL_FILE',
  'header-not-json': 'ERR_MODEL_FILE',
  'header-u64-max': 'ERR_MODEL_FILE',
  'missing-tensor': 'ERR_MODEL_FILE',
  'modules-unknown-type': 'ERR_MODEL_UNSUPPORTED',
  'no-weights': 'ERR_MODEL_NOT_FOUND',
  'offsets-beyond-file': 'ERR_MODEL_FILE',
  'overlapping-offsets': 'ERR_MODEL_FILE',
  'unknown-activation': 'ERR_MODEL_UNSUPPORTED',
  'unknown-model-type': 'ERR_MODEL_UNSUPPORTED',
  'unsupported-model-type': 'ERR_MODEL_UNSUPPORTED',
  'wrong-shape': 'ERR_MODEL_FILE',
  'zero-byte-weights': 'ERR_MODEL_FILE',
}

/** Words that reach every row of a tokenizer of the broken folders, known and unknown ones. */
const probes = [
  'Hello world.',
  'the cat sat on the mat',
  '',
  'zebra xyz 123 cab',
  '漢字 qqq',
  'the cat sat on the mat, the dog sat on the mat!',
]

const folders = brokenModels().map((name) => ({ name, ...readJson<Expectation>('broken-models', name, 'expect.json') }))

test.each(folders.filter((folder) => folder.expect === 'error'))('$name: $about', async ({ name, stage }) => {
  const error = await refusal(useBroken(name, stage))
  expect(error, error.stack).toBeInstanceOf(ModelError)
  expect(error.code, error.message).toMatch(/^ERR_(MODEL_|TOKENIZER|NOT_FINITE|UNSUPPORTED)/)
  if (codes[name]) expect(error.code, error.message).toBe(codes[name])
  expect(error.message.length, error.message).toBeGreaterThan(20)
  expect(bits(await embedder.embed('canary')), 'other models work on').toBe(canary)
})

/** Loads, and where the fault may come later, embeds: what comes out must be finite. */
async function useBroken(name: string, stage: string): Promise<void> {
  const broken = await Embedder.load(data('broken-models', name), { dtype: 'f32' })
  if (stage === 'load') return
  for (const text of probes) {
    const vector = await broken.embed(text)
    expect(vector.every(Number.isFinite), `${name}: ${text}`).toBe(true)
  }
}

test.each(folders.filter((folder) => folder.expect === 'load-ok'))('$name: $about', async ({
  name,
  texts,
  embeddings,
}) => {
  const control = await Embedder.load(data('broken-models', name), { dtype: 'f32' })
  const vectors = await control.embed(texts!)
  for (const [index, text] of texts!.entries()) checkClose(text, vectors[index]!, embeddings![index]!, TINY)
})

test('48 folders were tried', () => {
  expect(folders.length).toBe(48)
})
