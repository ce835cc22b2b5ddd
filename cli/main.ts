/**
 * The command line: `npx @x/embed-native <command>`. Exit codes: 0, 1 for what went wrong, 2 for what was typed wrong, 130 after
 * Ctrl-C, 143 after SIGTERM and 129 after SIGHUP. What it is not: it knows nothing of models; commands do.
 */
import { version } from '@x/embed-native'

import type { Command } from './command.js'
import { UsageError } from './command.js'
import { commands } from './commands/index.js'
import { helpOption, manual, overview, PROGRAM } from './help.js'
import { meant, read, type Values } from './options.js'
import { Screen } from './screen.js'
import { unreadable, unwritable } from './system.js'

async function main(words: readonly string[], screen: Screen, signal: AbortSignal): Promise<void> {
  const [name, ...rest] = words
  if (name === '--version' || name === '-V') return screen.line(version)
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    const named = rest[0] === undefined ? undefined : commands.get(rest[0])
    return screen.line(named ? manual(rest[0]!, named) : overview(commands, version))
  }
  const command = commands.get(name)
  if (!command) throw new UsageError(`unknown command ${name}${meant(name, [...commands.keys()])}`)
  await run(name, command, rest, { screen, signal })
}

async function run(
  name: string,
  command: Command,
  words: readonly string[],
  { screen, signal }: { screen: Screen; signal: AbortSignal },
): Promise<void> {
  const { operands, options } = read(words, { ...command.options, help: helpOption })
  if (options.help) return screen.line(manual(name, command))
  const [least, most] = command.operands
  if (operands.length < least || operands.length > most) {
    const problem = operands.length < least ? 'something is missing' : `"${operands[most]}" is too much`
    throw new UsageError(`${problem}: ${PROGRAM} ${name} ${command.usage ?? ''}`.trimEnd())
  }
  // The parser has held them against the command's own table.
  await command.run({ operands, options: options as Values<Command['options']>, screen, signal })
}

/** Messages of ours say what to do; of anything else the stack helps whoever reports it. */
function explained(error: unknown): string {
  const { code, message, stack, path } = Object(error) as NodeJS.ErrnoException
  if (error instanceof UsageError) return `${message}\n(${PROGRAM} --help)`
  const { message: said } = typeof path === 'string' ? (unreadable(path, error) as Error) : { message }
  if (typeof code === 'string') return `${asTyped(said)} [${code}]`
  return String(stack ?? error)
}

/** What loads a model, for programs and here. */
const COMMANDS: Readonly<Record<string, string>> = {
  Embedder: `${PROGRAM} embed`,
  Reranker: `${PROGRAM} rerank`,
  Classifier: `${PROGRAM} info --task classify`,
  SparseEmbedder: `${PROGRAM} info --task sparse`,
  MultiVectorEmbedder: `${PROGRAM} info --task late`,
  HybridEmbedder: `${PROGRAM} info --task hybrid`,
}

/** The library names methods and options as programs write them. What is part of a path stays as it is. */
function asTyped(message: string): string {
  const dashed = (_: string, name: string): string =>
    `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
  return message
    .replace(/^[\w.]+: options\.(\w+)(\[\d+\])?/, dashed)
    .replace(/(?<![\w./\\])(maxLength|maxBatch|onnxFile|onOverflow|cacheDir)(?![\w/\\]|\.\w)/g, dashed)
    .replace(/^\w+\.load: /, '')
    .replace(/(?<![\w./\\])(\w+)\.load(?![\w/\\]|\.\w)/g, (method, name: string) => COMMANDS[name] ?? method)
}

async function start(): Promise<void> {
  const interrupted = new AbortController()
  let code = 0
  for (const [name, number] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(name, () => {
      code = number
      interrupted.abort()
    })
  }
  // Work that does not look at the signal, such as waiting for stdin, is left behind.
  const stopped = new Promise<never>((_, reject) => {
    interrupted.signal.addEventListener('abort', () => setTimeout(reject, 500, interrupted.signal.reason))
  })
  try {
    await Promise.race([main(process.argv.slice(2), new Screen(), interrupted.signal), stopped])
  } catch (error) {
    if (interrupted.signal.aborted) process.exit(code)
    process.stderr.write(`${PROGRAM}: ${explained(error)}\n`)
    const { code: fault } = Object(error) as { code?: unknown }
    process.exitCode = error instanceof UsageError || fault === 'ERR_INVALID_ARGUMENT' ? 2 : 1
  }
}

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // The reader has had enough.
    if (error.code === 'EPIPE') process.exit()
    // Where stderr is what failed, nobody can be told.
    if (stream === process.stdout) process.stderr.write(`${PROGRAM}: ${explained(unwritable('stdout', error))}\n`)
    process.exit(1)
  })
}
void start()
