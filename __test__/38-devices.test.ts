/** Chapter 7d: GPUs. What is there and why it is not used; drivers and binaries in every state, none of them a fault. */
import { execFileSync } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'

import { devices, Embedder, machine } from '@x/embed-native'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { checkRejects, loadTiny, root, tiny } from './support.js'

test('every kind is there, usable or with its reason', () => {
  const all = devices()
  expect(all[0]).toMatchObject({ device: 'cpu', usable: true, reason: null })
  for (const kind of ['cuda', 'metal']) expect(all.some(({ device }) => device.startsWith(kind))).toBe(true)
  for (const { usable, reason } of all) expect(usable).toBe(reason === null)
  expect(all[0]?.name).toBe(cpus()[0]?.model.trim() || null)
  expect(all[0]?.memory).toBeGreaterThan(2 ** 28)
  expect(all[0]?.memory).toBeLessThanOrEqual(totalmem())
})

test('a device has a reason, and a model and devices() say the same', async () => {
  const { deviceReason } = (await loadTiny('bert-mean')).info
  expect(deviceReason).toMatch(/^auto: the CPU, since/)
  const cuda = devices().find(({ device }) => device.startsWith('cuda'))
  expect(cuda?.reason).toContain(deviceReason.replace(/^auto: the CPU, since /, ''))
  expect((await loadTiny('bert-mean', { device: 'cpu' })).info.deviceReason).toBe('as asked for')
})

test.each([
  ['cuda:9', 'ERR_DEVICE', /"cuda:9" cannot be used: .*there is cpu/],
  [['cuda:0', 'cuda:0'], 'ERR_INVALID_ARGUMENT', /names one twice/],
  [['cpu', 'cuda:0'], 'ERR_INVALID_ARGUMENT', /several different "cuda:N"/],
  ['cuda:-1', 'ERR_INVALID_ARGUMENT', /"cuda:N"/],
  ['rocm', 'ERR_INVALID_ARGUMENT', /"cuda:N"/],
] as const)('%j is refused with what there is', async (device, code, message) => {
  const load = Embedder.load(tiny('bert-mean'), { device: device as 'cpu' })
  if (code === 'ERR_INVALID_ARGUMENT')
    await expect(load).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  else await checkRejects(load, code, message)
})

test.runIf(process.platform !== 'darwin')('Metal is of macOS', async () => {
  await checkRejects(loadTiny('bert-mean', { device: 'metal' }), 'ERR_DEVICE', /Metal is part of macOS; there is cpu/)
})

/** A package of its own with this machine's binary under both names, so that every way can be gone without a GPU. */
const isHere = process.platform === 'linux' && process.arch === 'x64' && machine().libc?.startsWith('glibc')
describe.runIf(isHere)('the binary with CUDA’s kernels', () => {
  let folder = ''
  const second = (): string => join(folder, 'embed-native.linux-x64-gnu-cuda.node')
  const driver = (name: string, ...defines: string[]): string => {
    const file = join(folder, `${name}.so`)
    const source = join(root, 'crates', 'devices', 'tests', 'fake_driver.c')
    execFileSync(process.env.CC ?? 'cc', [
      '-shared',
      '-fPIC',
      '-o',
      file,
      source,
      ...defines.map((define) => `-D${define}`),
    ])
    return file
  }

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'embed-native-devices-'))
    cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
    copyFileSync(join(root, 'package.json'), join(folder, 'package.json'))
    symlinkSync(machine().binary as string, join(folder, 'embed-native.linux-x64-gnu.node'))
    const libraries = join(folder, 'libraries')
    mkdirSync(libraries)
    const any = driver('any')
    for (const name of ['cublasLt.so.13', 'cublas.so.13', 'curand.so.10']) {
      copyFileSync(any, join(libraries, `lib${name}`))
    }
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  interface Told {
    binary: string
    cuda: { device: string; usable: boolean; reason: string; capability: string | null }
    vector: number[]
    reason: string
    opened: boolean
  }
  const TELL = `
    const { devices, Embedder, machine } = require(process.env.PACKAGE)
    const opens = (part) => process.report.getReport().sharedObjects.some((file) => file.includes(part))
    Embedder.load(process.env.TINY, { dtype: 'f32' }).then(async (model) => {
      const vector = Array.from(await model.embed('a fox'))
      const opened = opens(process.env.EMBED_NATIVE_CUDA_DRIVER || 'libcuda.so')
      const cuda = devices().find(({ device }) => device.startsWith('cuda'))
      console.log(JSON.stringify({ binary: machine().binary, cuda, vector, reason: model.info.deviceReason, opened }))
    })
  `
  const told = (env: Record<string, string>): Told => {
    const all = {
      ...process.env,
      PACKAGE: folder,
      TINY: tiny('bert-mean'),
      EMBED_NATIVE_BINDING: '',
      CUDA_HOME: '',
      CUDA_PATH: '',
    }
    const printed = execFileSync(process.execPath, ['-e', TELL], { env: { ...all, ...env }, encoding: 'utf8' })
    return JSON.parse(printed) as Told
  }
  const libraries = (): Record<string, string> => ({ EMBED_NATIVE_CUDA_LIBS: join(folder, 'libraries') })

  test('not installed: nothing is opened, and a GPU is told to lack kernels', () => {
    rmSync(second(), { force: true })
    const { binary, cuda, opened } = told({ EMBED_NATIVE_CUDA_DRIVER: driver('one', 'COUNT=1') })
    expect(binary).toMatch(/linux-x64-gnu\.node$/)
    expect(opened).toBe(false)
    expect(cuda).toMatchObject({ device: 'cuda:0', usable: false, capability: '9.0', name: 'Fake H100' })
    expect(cuda.reason).toMatch(/this binary has no kernels.*`npm run build:cuda` in a clone.*docs\/accelerators\.md/)
    expect(cuda.reason).not.toContain('npm install')
  })

  test.each([
    ['no driver', () => ({ EMBED_NATIVE_CUDA_DRIVER: '/nowhere/libcuda.so.1' }), /NVIDIA's driver is not here/],
    ['no device', () => ({ EMBED_NATIVE_CUDA_DRIVER: driver('none', 'COUNT=0') }), /has no device to show/],
    ['a fault', () => ({ EMBED_NATIVE_CUDA_DRIVER: driver('fault', 'INIT=999') }), /cuInit gave 999/],
    ['another library', () => ({ EMBED_NATIVE_CUDA_DRIVER: driver('other', 'NO_INIT') }), /has no function cuInit/],
    ['an old driver', () => ({ EMBED_NATIVE_CUDA_DRIVER: driver('old', 'VERSION=9000') }), /is of CUDA 9\.0/],
  ])('with %s the base one computes, exactly', (_, env, reason) => {
    copyFileSync(machine().binary as string, second())
    const plain = told({ EMBED_NATIVE_CUDA_DRIVER: '/nowhere' })
    const found = told({ ...env(), ...libraries() })
    expect(found.binary).toMatch(/linux-x64-gnu\.node$/)
    expect(found.cuda).toMatchObject({ device: 'cuda', usable: false, reason: expect.stringMatching(reason) })
    expect(found.vector).toEqual(plain.vector)
  })

  test('with a driver and without a library the base one computes, and the library is named', () => {
    copyFileSync(machine().binary as string, second())
    const empty = join(folder, 'empty')
    mkdirSync(empty, { recursive: true })
    const { binary, cuda } = told({ EMBED_NATIVE_CUDA_DRIVER: driver('well'), EMBED_NATIVE_CUDA_LIBS: empty })
    if (existsSync('/usr/local/cuda')) return
    expect(binary).toMatch(/linux-x64-gnu\.node$/)
    expect(cuda.reason).toMatch(/left aside: libcublasLt\.so\.13 is not found.*nvidia-cublas.*EMBED_NATIVE_CUDA_LIBS/)
  })

  test('with all that it needs it is loaded', () => {
    copyFileSync(machine().binary as string, second())
    const { binary, vector } = told({ EMBED_NATIVE_CUDA_DRIVER: driver('ready'), ...libraries() })
    expect(binary).toMatch(/linux-x64-gnu-cuda\.node$/)
    expect(vector.length).toBeGreaterThan(0)
  })

  test('a broken one is left aside with the reason', () => {
    rmSync(second(), { force: true })
    writeFileSync(second(), 'no library')
    const { binary, cuda } = told({ EMBED_NATIVE_CUDA_DRIVER: driver('whole'), ...libraries() })
    expect(binary).toMatch(/linux-x64-gnu\.node$/)
    expect(cuda.reason).toMatch(/left aside: .*embed-native\.linux-x64-gnu-cuda\.node/)
  })
})

describe('providers of ONNX Runtime', () => {
  test.each([
    [{ backend: 'onnx', providers: ['gpu'] }, /options\.providers\[0\] must be "cuda"/],
    [{ backend: 'onnx', providers: [] }, /empty array/],
    [{ backend: 'onnx', providers: 'cpu' }, /must be an array/],
    [{ providers: ['cpu'] }, /with backend "onnx"/],
    [{ backend: 'native', providers: ['cpu'] }, /with backend "onnx"/],
  ])('%j is refused', async (options, message) => {
    const load = Embedder.load(tiny('bert-mean'), options as object)
    await expect(load).rejects.toMatchObject({ code: 'ERR_INVALID_ARGUMENT', message: expect.stringMatching(message) })
  })

  const library = process.env.EMBED_NATIVE_TEST_ORT?.split(':')[0]
  const run = (options: object, env: Record<string, string> = {}): string => {
    const script = `
      require('@x/embed-native').Embedder.load(process.env.MODEL, { backend: 'onnx', dtype: 'int8', ...JSON.parse(process.env.OPTIONS) }).then(
        ({ info }) => console.log(info.device, info.threads, info.deviceReason),
        (error) => console.log(error.code, error.message),
      )`
    const all = {
      ...process.env,
      ORT_DYLIB_PATH: library,
      MODEL: tiny('bert-mean'),
      OPTIONS: JSON.stringify(options),
    }
    return execFileSync(process.execPath, ['-e', script], { cwd: root, env: { ...all, ...env }, encoding: 'utf8' })
  }
  const isThere = library !== undefined
  test.runIf(isThere).each([
    [{}, {}, /^cpu \d+ this backend computes on the CPU unless/],
    [{ providers: ['coreml', 'cpu'] }, {}, /^cpu .*: coreml is not in onnxruntime/],
    [
      { providers: ['coreml'] },
      {},
      /^ERR_BACKEND none of these providers computes here: coreml is not in .*; onnxruntime \S+ has .*cpu/,
    ],
    [
      { providers: ['tensorrt'] },
      {},
      /^ERR_BACKEND none of these providers computes here: tensorrt (is not in|of) onnxruntime \S+( does not start: .* \(it needs what cuda needs.*)?; onnxruntime .*name "cpu" as the last/,
    ],
    [{}, { ORT_EXECUTION_PROVIDER: 'CoreML,CPU' }, /^cpu .*: coreml is not in/],
    [{}, { ORT_EXECUTION_PROVIDER: 'gpu' }, /^ERR_SETTINGS ORT_EXECUTION_PROVIDER must name some of .*"gpu"/],
    [{}, { ORT_NUM_THREADS: 'many' }, /^ERR_SETTINGS ORT_NUM_THREADS must be/],
    [{}, { ORT_NUM_THREADS: '1' }, /^cpu 1 /],
    [{ threads: 2 }, { ORT_NUM_THREADS: '1' }, new RegExp(`^cpu ${Math.min(2, machine().threads)} `)],
    [{ backend: 'native', dtype: 'f32' }, { ORT_NUM_THREADS: '1' }, new RegExp(`^cpu ${machine().threads} `)],
  ])('%j with %j', (options, env, expected) => {
    expect(run(options, env)).toMatch(expected)
  })
})
