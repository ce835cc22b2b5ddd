/** Texts from stdin or from files: a line each, a line of JSON each, or a whole file each. Read as they are wanted. */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'

import { UsageError } from './command.js'
import type { Values } from './options.js'

/** A text, and what it is called by if it came with a name. */
export interface Item {
  readonly text: string
  /** `id` of its JSON, or the name of its file. */
  readonly id?: unknown
}

/** How input is read. */
export const inputOptions = {
  input: {
    kind: 'choice',
    choices: ['lines', 'jsonl', 'files'],
    about:
      'a text a line, a JSON string or object a line, or a text a file; jsonl for *.jsonl and *.ndjson, else lines',
  },
  field: { kind: 'text', value: 'name', about: 'the field of an object that holds its text (text)' },
} as const

const STDIN = '-'

/** The texts of files, one after the other; of stdin where none are named. Empty lines are no texts. */
export async function* items(
  files: readonly string[],
  { input, field = 'text' }: Values<typeof inputOptions>,
): AsyncGenerator<Item> {
  for (const file of files.length > 0 ? files : [STDIN]) {
    if (file === STDIN && process.stdin.isTTY) process.stderr.write('texts from the keyboard; Ctrl-D ends them\n')
    const kind = input ?? (/\.(jsonl|ndjson)$/i.test(file) ? 'jsonl' : 'lines')
    if (kind === 'files')
      yield { text: withoutMark(file === STDIN ? await all(process.stdin) : await readFile(file, 'utf8')), id: file }
    else yield* lines(file, kind === 'jsonl' ? field : undefined)
  }
}

/** A byte order mark is no part of a text. */
export function withoutMark(text: string): string {
  return text.replace(/^\uFEFF/, '')
}

async function* lines(file: string, field: string | undefined): AsyncGenerator<Item> {
  const stream = file === STDIN ? process.stdin : createReadStream(file)
  let number = 0
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
    number++
    const text = number === 1 ? withoutMark(line) : line
    if (text.trim() === '') continue
    yield field === undefined ? { text } : parsed(text, field, `${file === STDIN ? 'stdin' : file}:${number}`)
  }
}

function parsed(line: string, field: string, place: string): Item {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new UsageError(`${place}: expected a line of JSON, got ${line.slice(0, 60)}`, { cause })
  }
  if (typeof value === 'string') return { text: value }
  const { [field]: text, id } = Object(value) as Record<string, unknown>
  if (typeof text === 'string') return id === undefined ? { text } : { text, id }
  throw new UsageError(`${place}: expected a string, or an object with a string in "${field}" (--field names another)`)
}

async function all(stream: NodeJS.ReadStream): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(Buffer.from(chunk))
  return Buffer.concat(chunks).toString('utf8')
}
