/**
 * `npm run check:gpu`: the checks that need a GPU (bench/gpu.mjs), here; with code 2 where there is none.
 *
 *     npm run check:gpu -- --bundle <folder>     packs them with the binaries, Node and the tiny models into a folder that runs
 *                                                on a machine with nothing but a driver: sh <folder>/run.sh
 *
 * The binaries are those that lie beside index.ts: `npm run build`, `npm run build:cuda`.
 */
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { StepFailed, isMain, main, root, show, step } from './steps.mjs'

/** What the bundle holds of the repository. */
export const PARTS = [
  'dist',
  'package.json',
  'catalogue.json',
  join('bench', 'gpu.mjs'),
  join('bench', 'gpu_peer.py'),
  join('bench', 'random-bert.mjs'),
  join('bench', 'report.mjs'),
  join('__test__', 'data', 'tiny-models'),
]

const RUN = `#!/bin/sh
# The checks that need a GPU. CUDA's libraries come from CUDA_HOME, EMBED_NATIVE_CUDA_LIBS or Python's nvidia wheels.
cd "$(dirname "$0")" && exec ./node bench/gpu.mjs "$@"
`

function bundle(folder) {
  mkdirSync(folder, { recursive: true })
  const binaries = readdirSync(root).filter((name) => /^embed-native\..*\.node$/.test(name))
  if (!binaries.some((name) => name.endsWith('-cuda.node'))) {
    throw new StepFailed('there is no binary with kernels for GPUs: npm run build:cuda', '')
  }
  for (const part of [...PARTS, ...binaries]) {
    if (!existsSync(join(root, part))) throw new StepFailed(`${part} is not there: npm run build`, '')
    cpSync(join(root, part), join(folder, part), { recursive: true })
  }
  copyFileSync(process.execPath, join(folder, 'node'))
  chmodSync(join(folder, 'node'), 0o755)
  writeFileSync(join(folder, 'run.sh'), RUN)
  return `${binaries.join(', ')}; start it with: sh run.sh`
}

if (isMain(import.meta)) {
  await main(async () => {
    const options = { bundle: { type: 'string' } }
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    if (values.bundle) await step('bundle', async () => bundle(resolve(values.bundle)))
    else process.exitCode = await show(process.execPath, [join('bench', 'gpu.mjs'), ...positionals])
  })
}
