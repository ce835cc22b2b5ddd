/**
 * Builds the addon (Rust, release profile) and the JavaScript of the TypeScript face. Both are quick when nothing changed:
 * cargo and tsc decide that themselves. The commands stand in package.json, where people look for them.
 */
import { install } from './install.mjs'
import { prerequisites } from './prerequisites.mjs'
import { isMain, main, run, step } from './steps.mjs'

/** The step: the addon. */
export function buildNative() {
  return step(
    'addon (its first build takes some minutes)',
    async () => void (await run('npm', ['run', '--silent', 'build:native'])),
  )
}

/** The step: the face. */
export function buildTypeScript() {
  return step('face', async () => void (await run('npm', ['run', '--silent', 'build:ts'])))
}

/** Both. */
export async function build() {
  await buildNative()
  await buildTypeScript()
}

if (isMain(import.meta)) {
  await main(async () => {
    await prerequisites()
    await install()
    await build()
  })
}
