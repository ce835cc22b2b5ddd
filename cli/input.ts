/** Texts from stdin or from files: a line each, a line of JSON each, or a whole file each. Read as they are wanted. */
import { createReadStream } from 'node:fs'
import { TextDecoder } from 'node:util'

import { UsageError } from './command.js'
import type { Values } from './options.js'
import { unreadable } from './system.js'

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
    if (kind === 'files') yield { text: await whole(file), id: file }
    else yield* rows(file, kind === 'jsonl' ? field : undefined)
  }
}

/** The text of bytes, without its byte order mark; null where they are no text: zero bytes, or not UTF-8. */
export function textOf(bytes: Uint8Array): string | null {
  return bytes.includes(0) ? null : decoded(new TextDecoder('utf-8', { fatal: true }), bytes, false)
}

function decoded(decoder: TextDecoder, bytes: Uint8Array | undefined, more: boolean): string | null {
  try {
    return decoder.decode(bytes, { stream: more })
  } catch (error) {
    if (error instanceof TypeError) return null
    throw error
  }
}

/** A file as one text. */
async function whole(file: string): Promise<string> {
  const all: Uint8Array[] = []
  for await (const bytes of chunks(file)) all.push(bytes)
  return textOf(Buffer.concat(all)) ?? noText(file)
}

/** What the system has against a file names it. */
async function* chunks(file: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const bytes of file === STDIN ? process.stdin : createReadStream(file)) yield bytes as Uint8Array
  } catch (error) {
    throw unreadable(file, error)
  }
}

function noText(file: string): never {
  const why = 'is no text: it holds zero bytes, or is not UTF-8, which `iconv -t UTF-8` makes of other writing'
  throw new UsageError(`${called(file)} ${why}`)
}

function called(file: string): string {
  return file === STDIN ? 'stdin' : file
}

async function* rows(file: string, field: string | undefined): AsyncGenerator<Item> {
  let number = 0
  for await (const text of lines(file)) {
    number++
    if (text.trim() === '') continue
    yield field === undefined ? { text } : parsed(text, field, `${called(file)}:${number}`)
  }
}

/** The lines of a file, as they come. Only a line feed ends one: JSON may hold other separators as they are. */
async function* lines(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let open: string[] = []
  for await (const bytes of chunks(file)) {
    const text = bytes.includes(0) ? null : decoded(decoder, bytes, true)
    const [first, ...rest] = (text ?? noText(file)).split('\n')
    open.push(first!)
    for (const next of rest) {
      yield ended(open)
      open = [next]
    }
  }
  open.push(decoded(decoder, undefined, false) ?? noText(file))
  yield ended(open)
}

function ended(parts: readonly string[]): string {
  return parts.join('').replace(/\r$/, '')
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
