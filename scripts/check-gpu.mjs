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

/** What the bundle says of itself. */
const readme = (binaries, { arch, report }) => `# Checks that need a GPU

    sh run.sh                                  # the first GPU that works
    sh run.sh --device cuda:1 --shapes minilm  # another; one size of minilm, base, large

Needs Linux on ${arch}, glibc ${report.getReport().header.glibcVersionRuntime} or later, and a driver of NVIDIA's from 580 on (\`nvidia-smi\` shows it). No
compiler, no network, no Node: it is here. CUDA's libraries (libcublas.so.13, libcublasLt.so.13, libcurand.so.10) come
from EMBED_NATIVE_CUDA_LIBS, a folder; from CUDA_HOME; or from Python's nvidia wheels (\`pip install nvidia-cublas
nvidia-curand\`). With torch and sentence-transformers in that Python, their figures stand beside, and full memory is checked.

Prints a report. Ends with code 0 if all is well, 1 if something is not, 2 if there is no GPU that a model can run on; then the
reasons stand in its first lines. Binaries: ${binaries.join(', ')}. Their kernels are PTX, which the
driver compiles when the first model is loaded: that load takes longer.
`

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
  writeFileSync(join(folder, 'README.md'), readme(binaries, process))
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
