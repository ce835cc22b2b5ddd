/** Chapter 13: the package: ESM and CommonJS are one library, and it exports what it says. */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as esm from '@x/embed-native'
import { afterAll, describe, expect, test } from 'vitest'

import { checkChild, child, readJson, root, tiny } from './support.js'

const require = createRequire(join(root, 'package.json'))
interface Manifest {
  types: string
  main: string
  bin: string
  version: string
  exports: { '.': Record<'import' | 'require', { types: string; default: string }> }
  scripts: Record<string, string>
}

const manifest = readJson<Manifest>('..', '..', 'package.json')

test('ESM and CommonJS give the same class, so state is one', async () => {
  const cjs = require('@x/embed-native') as typeof esm
  expect({ ...esm }).toEqual({ ...cjs })
  expect(esm.Embedder).toBe(cjs.Embedder)
  expect(esm.ModelError).toBe(cjs.ModelError)
  expect((await cjs.Embedder.load(tiny('bert-mean'))) instanceof esm.Embedder).toBe(true)
})

test('the exports are these', () => {
  expect(Object.keys(esm).sort()).toEqual([
    'Classifier',
    'Embedder',
    'HybridEmbedder',
    'ModelError',
    'Models',
    'MultiVectorEmbedder',
    'Reranker',
    'SparseEmbedder',
    'cache',
    'calibrate',
    'catalogue',
    'convert',
    'devices',
    'download',
    'kernels',
    'machine',
    'maxSim',
    'quantize',
    'similarity',
    'sparseSimilarity',
    'topK',
    'version',
  ])
})

test('the package finds itself by its name, in both module systems', async () => {
  const names = "console.log(Object.keys(library).sort().join(' '))"
  const expected = Object.keys(esm).sort().join(' ')
  await checkChild(`import * as library from '@x/embed-native'; ${names}`, expected)
  const output = execFileSync(process.execPath, ['-e', `const library = require('@x/embed-native'); ${names}`], {
    cwd: root,
  })
  expect(String(output).trim()).toBe(expected)
})

test('importing loads no binary: that is for the first use', async () => {
  const script = `
    await import('@x/embed-native')
    console.log(process.report.getReport().sharedObjects.some((file) => /embed-native\\..*node$/.test(file)))
  `
  await checkChild(script, 'false')
})

test('every file that package.json names is there', () => {
  const { exports, types, main, bin } = manifest
  const named = [types, main, bin, ...Object.values(exports['.']).flatMap((entry) => Object.values(entry))]
  for (const file of named) expect(existsSync(join(root, file)), file).toBe(true)
})

test('installing runs nothing', () => {
  for (const name of ['preinstall', 'install', 'postinstall', 'prepare'])
    expect(manifest.scripts, name).not.toHaveProperty(name)
  expect(manifest).not.toHaveProperty('dependencies')
})

test('what is packed holds the library and no sources', () => {
  const [packed] = JSON.parse(
    String(execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root })),
  ) as [{ files: { path: string }[] }]
  const files = packed.files.map(({ path }) => path)
  for (const file of [
    'index.d.ts',
    'dist/index.cjs',
    'dist/index.mjs',
    'dist/index.d.mts',
    'dist/cli.cjs',
    'lib/types.d.ts',
    'catalogue.json',
  ])
    expect(files).toContain(file)
  expect(files.filter((file) => /(?<!\.d)\.ts$|\.rs$|__test__|node_modules/.test(file))).toEqual([])
})

test('the machine is described', () => {
  const { version, binary, kernels, kernel, threads, usable, cores, ...rest } = esm.machine()
  expect(version).toBe(manifest.version)
  expect(binary).toMatch(/embed-native\..*\.node$/)
  expect(kernels).toEqual(esm.kernels())
  expect(kernels).toContain(kernel)
  expect(threads).toBe(Math.min(usable, cores))
  expect(rest).toMatchObject({ platform: process.platform, arch: process.arch })
  expect(Object.keys(rest)).toEqual(['platform', 'arch', 'libc', 'onnxRuntime'])
})

describe('a binary that does not fit is an error that says what to do', () => {
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-package-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const binary = esm.machine().binary!
  const name = /embed-native\.[^/\\]*\.node$/.exec(binary)![0]

  /** A copy of the face, with another binary beside it or none. */
  const copy = (label: string, bytes?: Buffer, version = manifest.version): string => {
    const place = join(folder, label)
    mkdirSync(join(place, 'dist'), { recursive: true })
    const face = readFileSync(join(root, 'dist', 'index.cjs'), 'utf8')
    const marked = face.replace(`version: "${manifest.version}"`, `version: "${version}"`)
    writeFileSync(join(place, 'dist', 'index.cjs'), marked)
    if (bytes) writeFileSync(join(place, name), bytes)
    else if (version !== manifest.version) cpSync(binary, join(place, name))
    return join(place, 'dist', 'index.cjs')
  }

  const message = async (file: string, env = {}): Promise<string> => {
    const script = `
      import library from ${JSON.stringify(file)}
      try { library.kernels() } catch (error) { console.log(error.name, error.code, error.message) }`
    const { output, errors } = await child(script, { EMBED_NATIVE_BINDING: '', ...env })
    expect(errors).toBe('')
    return output.trim()
  }

  test('none is installed', async () => {
    const said = await message(copy('none'))
    expect(said).toMatch(
      /^ModelError ERR_BINDING The native binary for \w+ \w+( glibc [\d.]+| musl)? is not installed\./,
    )
    expect(said).toMatch(/npm install --include=optional --os=\w+ --cpu=\w+( --libc=\w+)? @x\/embed-native\./)
    expect(said).toMatch(/bundler/)
  })

  test('for another processor, or no binary at all', async () => {
    const other = readFileSync(binary)
    // The field of ELF, Mach-O and PE files that names the processor, or something near it.
    for (const at of [4, 5, 18, 19]) other[at] = 0xff
    for (const bytes of [other, Buffer.from('no binary'), Buffer.alloc(0)]) {
      expect(await message(copy(`other-${bytes.length}`, bytes))).toMatch(/does not load: .*npm install /)
    }
  })

  test('of another version', async () => {
    const said = await message(copy('old', undefined, '9.9.9'))
    expect(said).toContain(`is of version ${manifest.version}, and this package of 9.9.9.`)
    expect(said).toMatch(/npm install @x\/embed-native@9\.9\.9$/)
    const named = await message(copy('named', Buffer.alloc(0), '9.9.9'), { EMBED_NATIVE_BINDING: binary })
    expect(named).toMatch(/Correct or unset EMBED_NATIVE_BINDING\.$/)
  })

  test('EMBED_NATIVE_BINDING names one', async () => {
    const script = `
      import library from ${JSON.stringify(copy('chosen'))}
      console.log(library.machine().binary)`
    await checkChild(script, binary, { EMBED_NATIVE_BINDING: binary })
  })
})

test('a model that came as an npm package is found by its name', async () => {
  const project = mkdtempSync(join(tmpdir(), 'embed-native-model-'))
  const home = join(project, 'node_modules', '@models', 'tiny')
  cpSync(tiny('bert-mean'), join(home, 'model'), { recursive: true })
  writeFileSync(join(home, 'package.json'), '{ "name": "@models/tiny", "embed-native": { "model": "model" } }')
  mkdirSync(join(project, 'node_modules', 'other'))
  writeFileSync(join(project, 'node_modules', 'other', 'package.json'), '{ "name": "other" }')
  const script = `
    process.chdir(${JSON.stringify(project)})
    const { Embedder, download } = await import(${JSON.stringify(join(root, 'dist', 'index.mjs'))})
    const embedder = await Embedder.load('@models/tiny', { offline: true })
    const { folder, name } = await download('@models/tiny')
    const failed = await Embedder.load('other', { offline: true }).catch((error) => error)
    const missing = await Embedder.load('@models/none', { offline: true }).catch((error) => error)
    console.log(embedder.info.model, name, folder.endsWith('model'), failed.code, failed.message.includes('holds no model'), missing.code)`
  try {
    await checkChild(script, '@models/tiny @models/tiny true ERR_MODEL_NOT_FOUND true ERR_MODEL_NOT_FOUND')
  } finally {
    rmSync(project, { recursive: true, force: true })
  }
})
