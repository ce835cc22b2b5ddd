/**
 * Builds the TypeScript face: `dist/index.cjs` (all of it, one file), `dist/index.mjs` (the same exports for ESM, so that
 * a process never holds two copies of the library's state), and the declarations beside their sources.
 */
import { writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { build } from 'esbuild'

import { isMain, main, root, run, step } from './steps.mjs'

const bundle = join(root, 'dist', 'index.cjs')

/** Names that stay `require` calls: binaries beside the package, and the platform packages that carry one. */
const external = ['*.node', '@x/embed-native-*']

async function bundleFace() {
  const entryPoints = [join(root, 'index.ts')]
  const shape = {
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    keepNames: true,
    legalComments: 'none',
  }
  await build({ entryPoints, outfile: bundle, external, ...shape, logLevel: 'warning' })
}

/** The binary is loaded at the first use, not here: this works before the addon is built. */
async function wrapForEsm() {
  const names = Object.keys(createRequire(import.meta.url)(bundle))
  await writeFile(join(root, 'dist', 'index.mjs'), `export { ${names.join(', ')} } from './index.cjs'\n`)
  await writeFile(join(root, 'dist', 'index.d.mts'), "export * from '../index.js'\n")
}

/** The step's work. */
export async function buildTs() {
  await bundleFace()
  await wrapForEsm()
  await run(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '--project', root])
}

if (isMain(import.meta)) await main(() => step('bundle and declarations', buildTs))
