/** Chapter 2: what is known about a loaded model. */
import { devices, kernels, type LoadOptions, type Processor, version } from '@x/embed-native'
import { expect, test } from 'vitest'

import { golden, loadTiny, readJson, tiny } from './support.js'

const cases = [
  { name: 'bert-mean', architecture: 'bert', pooling: 'mean' },
  { name: 'modernbert-mean', architecture: 'modernbert', pooling: 'mean' },
  { name: 'qwen3-last', architecture: 'qwen3', pooling: 'last' },
]

test.each(cases)('info of $name', async ({ name, architecture, pooling }) => {
  const { dim, max_seq_length, prompts, pipeline_normalizes } = golden(name)
  const { info } = await loadTiny(name)
  expect(info).toMatchObject({
    model: tiny(name),
    architecture,
    dims: dim,
    maxLength: max_seq_length,
    prompts,
    normalizes: pipeline_normalizes,
    backend: 'native',
    device: 'cpu',
    dtype: 'f32',
    batchInvariant: true,
  })
  expect(info.pooling, 'pooling').toContain(pooling)
})

test('info is frozen, prompts too', async () => {
  const { info } = await loadTiny('modernbert-mean')
  expect(Object.isFrozen(info)).toBe(true)
  expect(Object.isFrozen(info.prompts)).toBe(true)
})

test('the kernel is one that this machine can run, and device and number format have a reason', async () => {
  const { info } = await loadTiny()
  expect(kernels()).toContain(info.kernel)
  expect(kernels()).toContain('generic')
  expect(info.deviceReason).not.toBe('')
  expect(info.dtypeReason).not.toBe('')
  expect(info.threads).toBeGreaterThanOrEqual(1)
})

test.each([
  'f32',
  'bf16',
  'int8',
] as const)('%s is what it is asked for, with a fingerprint of its own', async (dtype) => {
  const { info } = await loadTiny('bert-mean', { dtype })
  expect(info.dtype).toBe(dtype)
  expect(kernels()).toContain(info.kernel)
  const others = await Promise.all(
    (['f32', 'bf16', 'int8'] as const)
      .filter((other) => other !== dtype)
      .map((other) => loadTiny('bert-mean', { dtype: other })),
  )
  expect(others.map((other) => other.info.fingerprint)).not.toContain(info.fingerprint)
})

test('auto takes f32 or bf16, the same at every load', async () => {
  const { info } = await loadTiny('bert-mean', { dtype: 'auto' })
  expect(['f32', 'bf16']).toContain(info.dtype)
  expect((await loadTiny('bert-mean', { dtype: 'auto' })).info).toEqual(info)
})

test('what is told of processors, backends and number formats has the types of the options', async () => {
  const { info } = await loadTiny()
  const { device } = devices()[0]!
  const asTold: LoadOptions = { device, backend: info.backend }
  const dtype: LoadOptions['dtype'] | 'int4' = info.dtype
  expect((await loadTiny('bert-mean', asTold)).info).toMatchObject({ ...asTold, dtype })
  // @ts-expect-error: not a device
  const wrong: Processor['device'] = 'gpu'
  expect(devices().map((one) => one.device)).not.toContain(wrong)
})

test('the fingerprint tells models apart, and is the same at every load', async () => {
  const prints = await Promise.all(
    ['bert-mean', 'bert-mean', 'modernbert-mean'].map(async (name) => (await loadTiny(name)).info.fingerprint),
  )
  expect(prints[0]).toBe(prints[1])
  expect(prints[0]).not.toBe(prints[2])
})

test('version is that of package.json', () => {
  expect(version).toBe(readJson<{ version: string }>('..', '..', 'package.json').version)
})
