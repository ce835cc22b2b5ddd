/**
 * `npm run check:targets`: what can be known on Linux about other processors and systems. Runs the tests of the kernels
 * and of the engine as 64-bit Arm under QEMU, once for each kind of core, and clippy for macOS and Windows; links
 * against musl where its compiler is there. It brings Rust's standard libraries, and packages where it may; what it may
 * not it names. Not part of the gate: a machine need not have any of this.
 *
 *     npm run check:targets -- --only aarch64
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { fromCargo, said } from './counts.mjs'
import { StepFailed, isMain, main, run, step } from './steps.mjs'

/** What is tried: the standard library, the programs, the Debian packages that have them, and the work. */
export const FOREIGN = [
  {
    name: 'aarch64',
    triple: 'aarch64-unknown-linux-gnu',
    programs: { 'aarch64-linux-gnu-gcc': 'gcc-aarch64-linux-gnu libc6-dev-arm64-cross', 'qemu-aarch64': 'qemu-user' },
    work: emulated,
  },
  { name: 'macos', triple: 'aarch64-apple-darwin', programs: {}, work: linted },
  { name: 'windows', triple: 'x86_64-pc-windows-msvc', programs: {}, work: linted },
  { name: 'musl', triple: 'x86_64-unknown-linux-musl', programs: { 'musl-gcc': 'musl-tools' }, work: linked },
]

/** Cores, by QEMU's names, and the fastest kernels of each: the last has everything that QEMU knows. */
export const CORES = [
  ['cortex-a72', 'neon'],
  ['neoverse-n1', 'neon-dotprod'],
  ['max', 'neon-bf16'],
]

/** The engine's tests that run under emulation. */
const ENGINE_TESTS = ['golden', 'heads', 'pipelines', 'static_models']

/**
 * The packages to install.
 *
 * @param {typeof FOREIGN} targets
 * @param {(program: string) => boolean} found  whether a program is there
 * @returns {{ program: string, packages: string }[]}
 */
export function lacking(targets, found) {
  const all = targets.flatMap((target) => Object.entries(target.programs))
  return all.filter(([program]) => !found(program)).map(([program, packages]) => ({ program, packages }))
}

/** The targets that a command line asks for: all, or those behind `--only`. */
export function chosen(words) {
  const at = words.indexOf('--only')
  const names = at < 0 ? FOREIGN.map((target) => target.name) : words.slice(at + 1)
  const unknown = names.filter((name) => !FOREIGN.some((target) => target.name === name))
  if (names.length === 0 || unknown.length > 0) {
    const known = FOREIGN.map((target) => target.name).join(', ')
    throw new StepFailed(`--only takes some of ${known}, not "${unknown.join(' ')}"`, '')
  }
  return FOREIGN.filter((target) => names.includes(target.name))
}

/** The variables by which cargo and the `cc` crate find the tools of a target. */
export function tools(triple, { compiler, archiver, runner }) {
  const lower = triple.replaceAll('-', '_')
  const upper = `CARGO_TARGET_${lower.toUpperCase()}`
  return {
    [`CC_${lower}`]: compiler,
    ...(archiver && { [`AR_${lower}`]: archiver }),
    ...(!archiver && { [`${upper}_LINKER`]: compiler }),
    ...(runner && { [`${upper}_RUNNER`]: runner }),
  }
}

function isFound(program) {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch (error) {
    return error.code !== 'ENOENT'
  }
}

/** Brings standard libraries and packages, or says what is missing and how to get it. */
async function provide(targets) {
  await run('rustup', ['target', 'add', ...targets.map((target) => target.triple)])
  const packages = lacking(targets, isFound).flatMap((lack) => lack.packages.split(' '))
  if (packages.length === 0) return 'nothing to install'
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`
  if (process.getuid?.() !== 0 || !isFound('apt-get')) throw new StepFailed(`run: sudo ${command}`, '')
  await run('apt-get', ['update'])
  await run('apt-get', command.split(' ').slice(1))
  return packages.join(' ')
}

/** Tests of the kernels on each kind of core, of the engine on the last; then the addon, less candle, is linked. */
async function emulated({ triple }) {
  const compiler = 'aarch64-linux-gnu-gcc'
  const env = tools(triple, { compiler, runner: 'qemu-aarch64 -L /usr/aarch64-linux-gnu' })
  const words = ['--locked', '--target', triple]
  const cargo = async (name, more, variables) =>
    step(name, async () => said(fromCargo(await run('cargo', more, { env: { ...env, ...variables } }))))
  for (const [core, best] of CORES) {
    const variables = { QEMU_CPU: core, EMBED_NATIVE_TEST_BEST: best }
    await cargo(`kernels on ${core}`, ['test', ...words, '-p', 'kernels', '--lib'], variables)
  }
  // Those that start no program of their own: the system could not run it.
  const tests = ENGINE_TESTS.flatMap((name) => ['--test', name])
  await cargo('engine', ['test', ...words, '-p', 'engine', '--no-default-features', '--lib', ...tests])
  await step('addon', async () => void (await run('cargo', ['build', ...words, '--no-default-features'], { env })))
}

/** Clippy over the workspace. */
async function linted({ name, triple }) {
  const words = ['clippy', '--locked', '--workspace', '--all-targets', '--target', triple, '--', '-D', 'warnings']
  const work = (env) => run('cargo', words, { env })
  await step(`clippy for ${name}`, async () => void (await withNoCompiler(triple, work)))
}

/**
 * Works with an environment for a target without its tools. Nothing is linked, so the little C there is need not be compiled: a
 * program that writes empty files stands in for a compiler and an archiver of that system.
 */
export async function withNoCompiler(triple, work) {
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-targets-'))
  const compiler = join(folder, 'cc')
  writeFileSync(compiler, NO_COMPILER)
  chmodSync(compiler, 0o755)
  try {
    return await work(tools(triple, { compiler, archiver: compiler }))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const NO_COMPILER = `#!/bin/sh
for word; do
  case "$before" in -o) : > "$word" ;; esac
  case "$word" in [/-]Fo*) : > "\${word#?Fo}" ;; [/-]out:*|[/-]OUT:*) : > "\${word#?????}" ;; *.a) : > "$word" ;; esac
  before="$word"
done
`

/** The addon, less candle, as a shared library for musl. */
async function linked({ triple }) {
  const env = { ...tools(triple, { compiler: 'musl-gcc' }), RUSTFLAGS: '-Ctarget-feature=-crt-static' }
  const words = ['build', '--locked', '--target', triple, '--no-default-features']
  await step('addon for musl', async () => void (await run('cargo', words, { env })))
}

if (isMain(import.meta)) {
  await main(async () => {
    const targets = chosen(process.argv.slice(2))
    await step('targets', () => provide(targets))
    let failed
    for (const target of targets) {
      await target.work(target).catch((error) => {
        failed = error
      })
    }
    if (failed) throw failed
  })
}
