/** Passages of text files: paragraphs, joined while they are short and cut where they are long. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'

import { textOf } from './input.js'

/** A piece of a file. */
export interface Passage {
  /** From the folder that was searched. */
  readonly file: string
  /** Its first line, from 1. */
  readonly line: number
  readonly text: string
}

/** Files of other kinds are passed over. */
export const TEXT_FILES: readonly string[] = ['txt', 'md', 'mdx', 'markdown', 'rst', 'adoc', 'org', 'tex', 'text']

/** Larger files are no notes. */
const MAX_BYTES = 5_000_000
/** About the tokens that small models read. */
const MAX_CHARACTERS = 800

/** Text files below a folder, by name; hidden folders and node_modules are passed over, links not followed. */
export async function textFiles(folder: string, extensions: readonly string[]): Promise<string[]> {
  const found: string[] = []
  for (const entry of (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
    if (entry.isDirectory()) found.push(...(await textFiles(path, extensions)))
    else if (entry.isFile() && extensions.some((extension) => path.toLowerCase().endsWith(`.${extension}`))) {
      if ((await stat(path)).size <= MAX_BYTES) found.push(path)
    }
  }
  return found
}

/** The passages of a file; null for one that is not text, whatever its name says. */
export async function passagesOf(path: string, folder: string): Promise<Passage[] | null> {
  const file = relative(folder, path) || path
  const text = textOf(await readFile(path))
  return text === null ? null : cut(text).map((passage) => ({ file, ...passage }))
}

/** Cuts a text at empty lines, and a line that is too long at the ends of its sentences or words. Pure. */
export function cut(text: string): { line: number; text: string }[] {
  const passages: { line: number; text: string }[] = []
  let open: { line: number; text: string } | undefined
  let ended = false
  const rows = text.split(/\r?\n/).flatMap((row, index) => pieces(row).map((piece) => [piece, index] as const))
  for (const [row, index] of rows) {
    ended ||= row.trim() === ''
    if (row.trim() === '') continue
    // A heading, or a short paragraph, says little without the next one.
    const full = open && open.text.length + row.length > MAX_CHARACTERS
    const whole = open && ended && open.text.length > MAX_CHARACTERS / 4
    if (!open || full || whole) {
      open = { line: index + 1, text: row }
      passages.push(open)
    } else open.text += `${ended ? '\n\n' : '\n'}${row}`
    ended = false
  }
  return passages
}

/** A row, or what it is cut into. */
function pieces(row: string): string[] {
  const all: string[] = []
  let rest = row
  while (rest.length > MAX_CHARACTERS) {
    const end = lastEnd(rest.slice(0, MAX_CHARACTERS))
    all.push(rest.slice(0, end))
    rest = rest.slice(end)
  }
  return [...all, rest]
}

/** Behind the last sentence, else the last word, of the second half; else at the end, not within a character. */
function lastEnd(text: string): number {
  const half = text.length / 2
  for (const ends of [/[.!?…]\s+|[。！？]/g, /\s+/g]) {
    const last = [...text.matchAll(ends)].at(-1)
    if (last && last.index > half) return last.index + last[0].length
  }
  return /[\uD800-\uDBFF]$/.test(text) ? text.length - 1 : text.length
}
