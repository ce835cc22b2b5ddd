/**
 * Builds the addon with cargo and puts it beside index.ts under the name that lib/candidates.ts looks for.
 *
 *     node scripts/build-native.mjs [--profile ship] [--target <triple>]
 *
 * `--profile ship` builds what is published: smaller, a little faster, and slow to build. `--target` builds for another
 * machine; a triple that ends in a version of glibc (`x86_64-unknown-linux-gnu.2.28`), or in musl, needs cargo-zigbuild.
 */
import { copyFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { StepFailed, isMain, main, root, run, show } from './steps.mjs'
import { TARGETS, binaryOf } from './targets.mjs'

/** Platform, processor and C library, as the packages are named. */
export function platformName({ platform, arch, glibc }) {
  const suffix = { linux: glibc ? '-gnu' : '-musl', win32: '-msvc' }[platform] ?? ''
  return `${platform}-${arch}${suffix}`
}

/** What cargo calls the library. */
export function libraryName(platform) {
  return { win32: 'embed_native.dll', darwin: 'libembed_native.dylib' }[platform] ?? 'libembed_native.so'
}

/** What to run for a triple, and which file comes of it in the target folder. Pure. */
export function plan(triple, profile) {
  const [rust] = triple.split('.')
  const target = Object.keys(TARGETS).find((name) => TARGETS[name].rust === rust)
  if (!target) throw new StepFailed(`no binary is published for ${rust}: scripts/targets.mjs has the list`, '')
  const command = triple !== rust || rust.endsWith('musl') ? 'zigbuild' : 'build'
  const { features = [] } = TARGETS[target]
  const more = features.length > 0 ? ['--features', features.join(',')] : []
  const words = [command, '--profile', profile, '--locked', '--target', triple, ...more]
  return { words, built: join(rust, profile, libraryName(TARGETS[target].os)), addon: binaryOf(target) }
}

function planHere(profile) {
  const { platform, arch } = process
  const glibc = Boolean(process.report.getReport().header.glibcVersionRuntime)
  const addon = binaryOf(platformName({ platform, arch, glibc }))
  return { words: ['build', '--profile', profile, '--locked'], built: join(profile, libraryName(platform)), addon }
}

/** The folder cargo builds into, wherever its settings put it. */
export async function targetFolder() {
  const metadata = await run('cargo', ['metadata', '--format-version', '1', '--no-deps', '--locked'])
  return JSON.parse(metadata.slice(metadata.indexOf('{'))).target_directory
}

if (isMain(import.meta)) {
  await main(async () => {
    const { values } = parseArgs({ options: { profile: { type: 'string' }, target: { type: 'string' } } })
    const profile = values.profile === 'ship' ? 'ship' : 'release'
    const { words, built, addon } = values.target ? plan(values.target, profile) : planHere(profile)
    process.exitCode = await show('cargo', words)
    if (process.exitCode !== 0) return
    const place = join(root, addon)
    // A process that has the old file loaded keeps it: the new one takes its name, not its place.
    copyFileSync(join(await targetFolder(), built), `${place}.new`)
    renameSync(`${place}.new`, place)
  })
}
