/**
 * `npm run check:features`: compiles the addon with every set of features that can be compiled here, and sees that sets that
 * make no sense stop with a sentence. What is built for a Mac is checked without one: nothing is linked.
 *
 *     npm run check:features -- --all     and those that need a toolkit, which is downloaded where it is not there: cuda, mkl
 */
import { parseArgs } from 'node:util'

import { withNoCompiler } from './check-targets.mjs'
import { cudaEnvironment } from './build-accelerated.mjs'
import { StepFailed, isMain, main, run, step } from './steps.mjs'
import { cudaToolkit, mklRoot } from './wheels.mjs'

const MAC = 'aarch64-apple-darwin'

/** Sets of features. `target`: another system; `needs`: what must be there first. */
export const SETS = [
  { features: [] },
  { features: ['candle'] },
  { features: ['onnx'] },
  { features: ['candle', 'onnx'] },
  { features: ['candle', 'onnx', 'metal'], target: MAC },
  { features: ['candle', 'onnx', 'metal', 'accelerate'], target: MAC },
  { features: ['cuda'], needs: 'cuda' },
  { features: ['candle', 'onnx', 'cuda'], needs: 'cuda' },
  // Nothing is linked here, and so cuDNN's library is not needed.
  { features: ['cudnn'], needs: 'cuda' },
  { features: ['mkl'], needs: 'mkl' },
  // Needs what cannot be brought: sources by git, and hours of CUDA's compiler.
  { features: ['flash-attn'], needs: 'more' },
]

/** Sets that stop on Linux, and what is said: crates that they need say it before ours is compiled. */
export const SENSELESS = [
  { features: ['metal'], says: 'only works on Apple platforms' },
  { features: ['accelerate'], says: 'only supported on Apple targets' },
]

const ENVIRONMENTS = {
  cuda: async () => cudaEnvironment(await cudaToolkit(), process.env),
  mkl: async () => ({ MKLROOT: await mklRoot() }),
}

const nameOf = ({ features, target }) =>
  [features.join(',') || 'none', target && `for ${target}`].filter(Boolean).join(' ')
const wordsOf = ({ features, target }) => [
  'check',
  '--locked',
  '--no-default-features',
  '--features',
  features.join(','),
  ...(target ? ['--target', target] : []),
]

async function compiles(set) {
  const env = set.needs ? await ENVIRONMENTS[set.needs]() : {}
  const check = (more) => run('cargo', wordsOf(set), { env: { ...env, ...more } })
  await step(nameOf(set), async () => void (await (set.target ? withNoCompiler(set.target, check) : check({}))))
}

async function stops(set) {
  await step(`${nameOf(set)} stops`, async () => {
    const output = await run('cargo', wordsOf(set)).then(
      () => undefined,
      (error) => error.output,
    )
    if (!output?.includes(set.says)) throw new StepFailed(`expected: ${set.says}`, output ?? 'it compiled')
  })
}

if (isMain(import.meta)) {
  await main(async () => {
    const { values } = parseArgs({ options: { all: { type: 'boolean' } } })
    await run('rustup', ['target', 'add', MAC])
    const chosen = SETS.filter(({ needs }) => !needs || (values.all && needs in ENVIRONMENTS))
    let failed
    const note = (error) => {
      failed = error
    }
    for (const set of chosen) await compiles(set).catch(note)
    if (process.platform === 'linux') for (const set of SENSELESS) await stops(set).catch(note)
    if (failed) throw failed
  })
}
