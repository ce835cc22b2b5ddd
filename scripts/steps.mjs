/**
 * Running one step at a time, quietly: a line with the seconds it took when it is well, its whole output when
 * it is not. What it is not: a task runner. The order of steps is written out in demo.mjs, check.mjs, bench.mjs.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The repository's root folder. */
export const root = fileURLToPath(new URL('..', import.meta.url))

/** A child that ended badly; `output` is all that it printed. */
export class StepFailed extends Error {
  constructor(message, output) {
    super(message)
    this.name = 'StepFailed'
    this.output = output
  }
}

/** Runs a program and resolves with all it printed; rejects with StepFailed when it ends with another code than 0. */
export function run(program, words, { env = {}, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, childOptions(program, env, cwd))
    const chunks = []
    child.stdout.on('data', (chunk) => chunks.push(chunk))
    child.stderr.on('data', (chunk) => chunks.push(chunk))
    const output = () => Buffer.concat(chunks).toString('utf8')
    child.on('error', (error) => reject(new StepFailed(`${program}: ${error.message}`, output())))
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output())
      else reject(new StepFailed(`${program} ${words.join(' ')} ended with ${signal ?? `code ${code}`}`, output()))
    })
  })
}

/** Runs a program on this terminal and resolves with its exit code. */
export function show(program, words, { env = {}, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { ...childOptions(program, env, cwd), stdio: 'inherit' })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}

// On Windows npm is a .cmd file, which only a shell can start; its words here never hold a space.
function childOptions(program, env, cwd) {
  const shell = process.platform === 'win32' && program === 'npm'
  return { cwd, env: { ...process.env, ...env }, shell, stdio: ['ignore', 'pipe', 'pipe'] }
}

/** Runs `work` and prints one line for it: a mark, the name, what `work` returned, the seconds. */
export async function step(name, work) {
  const start = performance.now()
  const seconds = () => `${((performance.now() - start) / 1000).toFixed(1)} s`
  const done = announce(name)
  try {
    const said = await work()
    done()
    console.log(`✓ ${name}${said ? ` · ${said}` : ''} (${seconds()})`)
    return said
  } catch (error) {
    done()
    console.log(`✗ ${name}: ${error.message} (${seconds()})`)
    if (error.output) console.log(indent(error.output))
    throw error
  }
}

/** Says what is under way to a person who waits; a log gets only the outcome. */
function announce(name) {
  if (!process.stdout.isTTY) return () => {}
  process.stdout.write(`… ${name}`)
  return () => process.stdout.write('\r\x1b[2K')
}

function indent(text) {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `  │ ${line}`)
    .join('\n')
}

/** Whether this module is the program that was started, and not imported. */
export function isMain(meta) {
  return process.argv[1] !== undefined && fileURLToPath(meta.url) === process.argv[1]
}

/** Runs the steps of a program; a step that failed has printed its reason already. */
export async function main(work) {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof StepFailed)) console.error(error)
    process.exitCode = 1
  }
}
