/**
 * Builds the addon for an accelerator and puts it beside index.ts (docs/accelerators.md).
 *
 *     npm run build:cuda     the second binary, with CUDA's kernels: embed-native.<target>-cuda.node
 *     npm run build:metal    on a Mac: the binary with Metal's
 *     npm run build:mkl      the binary whose executor on candle multiplies by MKL on the CPU
 *
 * CUDA_COMPUTE_CAP says what to compile for; without it PTX for 8.0, which every GPU from there on runs. CUDA_HOME and MKLROOT
 * name what is installed; without them the compiler and the libraries come from PyPI. `--features cudnn`, `--features flash-attn`
 * add to the first.
 */
import { copyFileSync, renameSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { parseArgs } from 'node:util'

import { libraryName, platformName, targetFolder } from './build-native.mjs'
import { StepFailed, isMain, main, root, show } from './steps.mjs'
import { binaryOf } from './targets.mjs'
import { cudaToolkit, mklRoot } from './wheels.mjs'

/** Each kind: its feature, the systems it is for, what the binary's name gets, and the environment of its build. */
export const KINDS = {
  cuda: { systems: ['linux-x64', 'win32-x64'], suffix: '-cuda', environment: cuda },
  metal: { systems: ['darwin-arm64'], suffix: '', environment: async () => ({}) },
  mkl: { systems: ['linux-x64', 'win32-x64'], suffix: '', environment: mkl },
}

async function cuda() {
  const home = await cudaToolkit()
  return cudaEnvironment(home, process.env)
}

/** What cargo and its build scripts need to find the toolkit in `home`. Pure. */
export function cudaEnvironment(home, env) {
  return {
    CUDA_HOME: home,
    PATH: `${join(home, 'bin')}${delimiter}${env.PATH}`,
    CUDA_COMPUTE_CAP: env.CUDA_COMPUTE_CAP ?? '80',
  }
}

async function mkl() {
  return { MKLROOT: await mklRoot() }
}

/** What to run, and where the binary goes. Pure. */
export function plan(kind, { platform, arch, glibc }, features, profile) {
  const found = KINDS[kind]
  const system = `${platform}-${arch}`
  if (!found) throw new StepFailed(`there is ${Object.keys(KINDS).join(', ')}, and no "${kind}"`, '')
  if (!found.systems.includes(system)) {
    throw new StepFailed(`${kind} is for ${found.systems.join(' and ')}; this is ${system}`, '')
  }
  const words = ['build', '--locked', '--profile', profile, '--features', [kind, ...features].join(',')]
  return { words, addon: binaryOf(`${platformName({ platform, arch, glibc })}${found.suffix}`) }
}

if (isMain(import.meta)) {
  await main(async () => {
    const options = { features: { type: 'string', multiple: true }, profile: { type: 'string' } }
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const { platform, arch } = process
    const glibc = Boolean(process.report.getReport().header.glibcVersionRuntime)
    const profile = values.profile === 'ship' ? 'ship' : 'release'
    const { words, addon } = plan(positionals[0], { platform, arch, glibc }, values.features ?? [], profile)
    const env = await KINDS[positionals[0]].environment()
    process.exitCode = await show('cargo', words, { env })
    if (process.exitCode !== 0) return
    const place = join(root, addon)
    copyFileSync(join(await targetFolder(), profile, libraryName(platform)), `${place}.new`)
    renameSync(`${place}.new`, place)
  })
}
