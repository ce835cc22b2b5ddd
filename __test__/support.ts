/** What the chapters share: data, comparisons that print what differs, child processes. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Embedder, type LoadOptions, ModelError } from '@x/embed-native'
import { expect } from 'vitest'

/** The package's folder. */
export const root: string = fileURLToPath(new URL('..', import.meta.url))

/** A path in `__test__/data`. */
export const data = (...path: string[]): string => join(root, '__test__', 'data', ...path)

/** A file of JSON in `__test__/data`. */
export const readJson = <Content>(...path: string[]): Content => JSON.parse(readFileSync(data(...path), 'utf8'))

/** The folder of a tiny model. */
export const tiny = (name: string): string => data('tiny-models', name)

/** Loads a tiny model, in f32. */
export const loadTiny = (name = 'bert-mean', options: LoadOptions = {}): Promise<Embedder> =>
  Embedder.load(tiny(name), { dtype: 'f32', ...options })

/** What the reference implementation says about one text. */
export interface GoldenItem {
  text: string
  note: string
  n_tokens: number
  prompt_name?: string
  embedding: number[]
  embedding_raw: number[]
}

/** What the reference implementation says about a tiny model. */
export interface Golden {
  arch: string
  dim: number
  max_seq_length: number
  prompts: Record<string, string>
  pipeline_normalizes: boolean
  items: GoldenItem[]
}

/** The golden values of a tiny model. */
export const golden = (name: string): Golden => readJson('tiny-models', name, 'golden.json')

/** The folders of broken models and their controls. */
export const brokenModels = (): string[] =>
  readdirSync(data('broken-models'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)

/** The real all-MiniLM-L6-v2. */
export function realModel(): string {
  const folder = process.env.EMBED_NATIVE_TEST_MODEL
  if (folder) return folder
  throw new Error('EMBED_NATIVE_TEST_MODEL names no model folder: run `npm test`, which fetches all-MiniLM-L6-v2')
}

/** How far a vector may be from the reference. */
export interface Tolerance {
  cosine: number
  maxAbs: number
}

/** For tiny models: f32 sums in another order, over unit vectors. */
export const TINY: Tolerance = { cosine: 0.999999, maxAbs: 2e-5 }

/** Checks a vector against the reference; the case prints itself. */
export function checkClose(
  label: string,
  actual: Float32Array,
  expected: ArrayLike<number>,
  { cosine, maxAbs }: Tolerance,
): void {
  expect(actual.length, `${label}: numbers`).toBe(expected.length)
  const differences = Array.from(actual, (value, index) => Math.abs(value - expected[index]!))
  expect(Math.max(...differences), `${label}: largest difference`).toBeLessThanOrEqual(maxAbs)
  expect(plainCosine(actual, expected), `${label}: cosine`).toBeGreaterThanOrEqual(cosine)
}

/** The cosine by a plain loop in doubles. */
export function plainCosine(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0]
  for (let index = 0; index < a.length; index++) {
    dot += a[index]! * b[index]!
    aa += a[index]! ** 2
    bb += b[index]! ** 2
  }
  return dot / Math.sqrt(aa * bb)
}

/** The bits of a vector, as text. */
export const bits = (vector: Float32Array): string =>
  Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('hex')

/** Checks that vectors are equal bit for bit; the first that differs prints its text. */
export function checkSameBits(label: string, texts: readonly string[], actual: string[], expected: string[]): void {
  expect(actual.length, label).toBe(texts.length)
  const differing = texts.flatMap((text, index) =>
    actual[index] === expected[index] ? [] : [{ index, text: text.slice(0, 60) }],
  )
  expect(differing.slice(0, 3), `${label}: ${differing.length} of ${texts.length} texts have other bits`).toEqual([])
}

/** The error that a promise rejects with. */
export async function refusal(promise: Promise<unknown>): Promise<Error & { code?: string }> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(outcome, 'the promise should have rejected').toBeInstanceOf(Error)
  return outcome as Error & { code?: string }
}

/** Checks that a promise rejects with a ModelError of this code; returns it. */
export async function checkFault(promise: Promise<unknown>, code: string): Promise<ModelError> {
  const error = await refusal(promise)
  expect(error, error.stack).toBeInstanceOf(ModelError)
  expect(error.code, error.message).toBe(code)
  return error as ModelError
}

/** Checks that a promise is rejected with a code and a message. */
export async function checkRejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  const error = await refusal(promise)
  expect(error.code, error.message).toBe(code)
  expect(error.message).toMatch(message)
}

/** Numbers that repeat: a linear congruential generator, 0 ≤ x < 1. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Texts of many lengths and scripts, the same at every call. */
export function mixedTexts(count: number, seed = 1): string[] {
  const next = random(seed)
  const words =
    'the quick brown fox día naïve Привет мир 今日は 北京 مرحبا 🍕 [SEP] x_1 3.14e-10 capital city Germany'.split(' ')
  const text = (): string =>
    Array.from({ length: Math.floor(next() ** 3 * 120) }, () => words[Math.floor(next() * words.length)]).join(' ')
  return Array.from({ length: count }, text)
}

/** Any order, but the same at every call. */
export function shuffled<Item>(items: readonly Item[], seed = 2): Item[] {
  const next = random(seed)
  return items
    .map((item) => ({ item, key: next() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}

/** What became of a child process. */
export interface Ended {
  code: number | null
  signal: string | null
  output: string
  errors: string
}

/** Runs an ES module given as text in a process of its own, in the package's folder. */
export function child(script: string, env: Record<string, string> = {}, limit = 50_000): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: root,
      env: { ...process.env, NODE_OPTIONS: '', TINY: tiny('bert-mean'), ...env },
      timeout: limit,
      killSignal: 'SIGKILL',
    })
    const text = { output: '', errors: '' }
    running.stdout.on('data', (chunk) => {
      text.output += chunk
    })
    running.stderr.on('data', (chunk) => {
      text.errors += chunk
    })
    running.on('error', reject)
    running.on('close', (code, signal) => resolve({ code, signal, ...text }))
  })
}

/** Runs a child and checks that it ended by itself, well, and printed `output`. */
export async function checkChild(script: string, output: string, env: Record<string, string> = {}): Promise<void> {
  const ended = await child(script, env)
  expect({ ...ended, output: ended.output.trim() }, ended.errors).toEqual({
    code: 0,
    signal: null,
    output,
    errors: ended.errors,
  })
}
