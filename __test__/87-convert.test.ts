/** Weights of one kind made those of another: no pickle is run, and fewer bits load to the bits of converting at load. */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Classifier, convert, Embedder, MultiVectorEmbedder, Reranker, SparseEmbedder } from '@x/embed-native'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { bits, checkFault, data, tiny } from './support.js'

const TEXT = 'red fox and blue whale'

let folder: string

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'embed-native-convert-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const vector = async (model: string, dtype?: 'f32' | 'bf16' | 'int8'): Promise<string> =>
  bits(await (await Embedder.load(model, { dtype })).embed(TEXT))

describe('fewer bits', () => {
  test.for(['int8', 'bf16', 'f32'] as const)('%s', async (dtype) => {
    const output = join(folder, dtype)
    const converted = await convert(tiny('bert-mean'), { dtype, output })
    expect(converted).toEqual({ folder: output, written: ['model.safetensors'], bytes: expect.any(Number) })
    expect(await vector(output, dtype)).toBe(await vector(tiny('bert-mean'), dtype))
  })

  test.for([
    [
      'rerank-bert',
      (model: string) => Reranker.load(model, { dtype: 'int8' }).then((loaded) => loaded.rerank(TEXT, [TEXT, 'b'])),
    ],
    [
      'rerank-qwen3-small',
      (model: string) => Reranker.load(model, { dtype: 'int8' }).then((loaded) => loaded.rerank(TEXT, ['b'])),
    ],
    [
      'albert-labels',
      (model: string) => Classifier.load(model, { dtype: 'int8' }).then((loaded) => loaded.classify(TEXT)),
    ],
    [
      'splade-distilbert',
      (model: string) => SparseEmbedder.load(model, { dtype: 'int8' }).then((loaded) => loaded.embed(TEXT)),
    ],
    [
      'splade-bert-own',
      (model: string) => SparseEmbedder.load(model, { dtype: 'int8' }).then((loaded) => loaded.embed(TEXT)),
    ],
    [
      'late-pylate',
      (model: string) => MultiVectorEmbedder.load(model, { dtype: 'int8' }).then((loaded) => loaded.embedQuery(TEXT)),
    ],
  ] as const)('of other kinds: %s', async ([name, made]) => {
    const output = join(folder, name)
    await convert(tiny(name), { dtype: 'int8', output })
    expect(await made(output)).toEqual(await made(tiny(name)))
  })

  test('whole numbers are loaded as such, and tables may be whole numbers, too', async () => {
    const [plain, small] = [join(folder, 'plain'), join(folder, 'small')]
    const { bytes } = await convert(tiny('bert-mean'), { dtype: 'int8', output: plain })
    const { info } = await Embedder.load(plain)
    expect([info.dtype, info.dtypeReason]).toEqual(['int8', 'as its weights are stored'])
    const less = await convert(tiny('bert-mean'), { dtype: 'int8', smallTables: true, output: small })
    expect(less.bytes).toBeLessThan(bytes)
    const [a, b] = await Promise.all([plain, small].map(async (place) => (await Embedder.load(place)).embed(TEXT)))
    const cosine = a!.reduce((sum, value, at) => sum + value * b![at]!, 0)
    expect(cosine).toBeGreaterThan(0.995)
  })
})

describe('pickles', () => {
  test('become safetensors beside them, or in a folder of their own', async () => {
    const [place, output] = [join(folder, 'pickles'), join(folder, 'from-pickles')]
    cpSync(data('broken-models/pickle-only'), place, { recursive: true })
    await expect(Embedder.load(place)).rejects.toThrow(/npx @x\/embed-native convert/)
    await convert(place, { output })
    expect(existsSync(join(output, 'pytorch_model.bin'))).toBe(false)
    expect((await convert(place)).written).toEqual(['model.safetensors'])
    expect((await convert(place)).written).toEqual([])
    const right = await vector(data('broken-models/ok-base'))
    expect([await vector(place), await vector(output)]).toEqual([right, right])
  })

  test('that ask for anything but tensors are refused, and nothing stays', async () => {
    const place = join(folder, 'code')
    cpSync(tiny('bert-mean'), place, { recursive: true })
    cpSync(data('pickles/code.pt'), join(place, 'sparse_linear.pt'))
    const error = await checkFault(convert(place), 'ERR_MODEL_FILE')
    expect(String(error)).toMatch(/sparse_linear\.pt.*posix\.system/)
    expect(readdirSync(place).filter((name) => /part|sparse_linear\.s/.test(name))).toEqual([])
  })
})

test('arguments are checked, and nobody waits for what is stopped', async () => {
  // @ts-expect-error: not a folder
  await expect(convert(7)).rejects.toThrow(TypeError)
  // @ts-expect-error: not a number format
  await expect(convert('x', { dtype: 'f16' })).rejects.toThrow('"f32" or "bf16" or "int8"')
  await expect(convert(tiny('bert-mean'), { dtype: 'int8' })).rejects.toThrow(/needs an output/)
  await expect(convert(tiny('bert-mean'), { output: folder })).rejects.toThrow(/not empty/)
  for (const output of [join(tiny('bert-mean'), 'config.json'), 'a\0b', join(folder, 'model.onnx')]) {
    await expect(convert(tiny('bert-mean'), { output })).rejects.toThrow(TypeError)
  }
  await checkFault(convert('/nowhere'), 'ERR_MODEL_NOT_FOUND')
  expect(String(await checkFault(convert('org/name'), 'ERR_MODEL_NOT_FOUND'))).toMatch(
    /`await download\(name\)` brings it/,
  )
  const signal = AbortSignal.abort()
  await expect(convert(tiny('bert-mean'), { output: join(folder, 'never'), signal })).rejects.toBe(signal.reason)
})
