/**
 * Builds the addon with cargo and puts it beside index.ts under the name that lib/binding.ts looks for. `--profile ship`
 * builds what is published: smaller, a little faster, and slow to build.
 */
import { copyFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'

import { isMain, main, root, run, show } from './steps.mjs'

/** Platform, processor and C library, as the packages are named. */
export function platformName({ platform, arch, glibc }) {
  const suffix = { linux: glibc ? '-gnu' : '-musl', win32: '-msvc' }[platform] ?? ''
  return `${platform}-${arch}${suffix}`
}

/** What cargo calls the library. */
export function libraryName(platform) {
  return { win32: 'embed_native.dll', darwin: 'libembed_native.dylib' }[platform] ?? 'libembed_native.so'
}

function thisMachine() {
  const { platform, arch } = process
  return { platform, arch, glibc: Boolean(process.report.getReport().header.glibcVersionRuntime) }
}

/** The folder cargo builds into, wherever its settings put it. */
async function targetFolder() {
  const metadata = await run('cargo', ['metadata', '--format-version', '1', '--no-deps', '--locked'])
  return JSON.parse(metadata.slice(metadata.indexOf('{'))).target_directory
}

if (isMain(import.meta)) {
  await main(async () => {
    const profile = process.argv[process.argv.indexOf('--profile') + 1] === 'ship' ? 'ship' : 'release'
    process.exitCode = await show('cargo', ['build', '--profile', profile, '--locked'])
    if (process.exitCode !== 0) return
    const machine = thisMachine()
    const addon = join(root, `embed-native.${platformName(machine)}.node`)
    // A process that has the old file loaded keeps it: the new one takes its name, not its place.
    copyFileSync(join(await targetFolder(), profile, libraryName(machine.platform)), `${addon}.new`)
    renameSync(`${addon}.new`, addon)
  })
}
