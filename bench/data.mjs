/**
 * The texts that benchmarks embed: real ones. `--data <folder>` names a folder with STS-B and SciFact, laid out as
 * bench/README.md says; without it, the sentences shipped for the examples are used, and the report says so.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'

const SHIPPED = new URL('../examples/data/sentences.json', import.meta.url)

/**
 * @param {string | undefined} folder
 * @param {{ short?: number, long?: number }} [limits]  at most so many texts of each kind
 * @returns {{ origin: string, short: string[], long: string[] }}
 */
export function loadTexts(folder, { short = Infinity, long = Infinity } = {}) {
  const texts = folder === undefined ? shippedTexts() : folderTexts(folder)
  return { ...texts, short: texts.short.slice(0, short), long: texts.long.slice(0, long) }
}

function folderTexts(folder) {
  const short = readPairs(join(folder, 'stsb', 'stsb-en-test.csv')).flatMap(({ first, second }) => [first, second])
  const long = readAbstracts(join(folder, 'scifact-beir', 'corpus.jsonl.gz'))
  return { origin: 'STS-B en test sentences, SciFact abstracts', short, long }
}

// A paragraph is one topic's sentences in their order, so that it reads, and counts tokens, as prose does.
function shippedTexts() {
  const sentences = JSON.parse(readFileSync(SHIPPED, 'utf8'))
  const topics = groupByTopic(sentences)
  const long = [...topics.values()].map((group) => group.map(({ text }) => text).join(' '))
  return { origin: 'examples/data', short: sentences.map(({ text }) => text), long }
}

// Node 20 has no Map.groupBy yet.
function groupByTopic(sentences) {
  const topics = new Map()
  for (const sentence of sentences) topics.set(sentence.topic, [...(topics.get(sentence.topic) ?? []), sentence])
  return topics
}

/** Rows of an STS-B file: `first,second,score`, fields quoted where they hold a comma. */
export function readPairs(file) {
  return parseCsv(requireFile(file)).map(([first, second, score]) => ({ first, second, score: Number(score) }))
}

/** Title and abstract of each SciFact document, as one text. */
export function readAbstracts(file) {
  const lines = gunzipSync(readFileSync(requirePath(file)))
    .toString('utf8')
    .trim()
    .split('\n')
  return lines.map((line) => JSON.parse(line)).map(({ title, text }) => `${title} ${text}`)
}

/** A CSV reader for fields that may be quoted; quotes inside are doubled. */
export function parseCsv(text) {
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy
  const rows = []
  let row = []
  while (field.lastIndex < text.length) {
    const [, quoted, plain, end] = field.exec(text) ?? raise(`not CSV after ${rows.length} rows`)
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'))
    if (end === ',') continue
    rows.push(row)
    row = []
  }
  return rows
}

function raise(message) {
  throw new Error(message)
}

function requireFile(file) {
  return readFileSync(requirePath(file), 'utf8')
}

function requirePath(file) {
  return existsSync(file) ? file : raise(`${file} is not there: --data expects the layout described in bench/README.md`)
}
