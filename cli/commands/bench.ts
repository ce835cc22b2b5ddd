/** `bench`: how fast a model runs on this machine, in a few seconds. bench/ of the repository measures with more care. */
import type { Embedder } from '@x/embed-native'

import { command, UsageError } from '../command.js'
import { type inputOptions, items } from '../input.js'
import { DEFAULT_EMBEDDER, json, loadEmbedder, modelOptions } from '../model.js'
import { counted } from '../screen.js'

const { model: _, ...options } = modelOptions

/** Words for texts of a given length, of no meaning. */
const WORDS = 'the quick brown fox crosses a cold river before night and rests under old trees near the village'.split(
  ' ',
)

/** What one workload came to. */
interface Measured {
  readonly workload: string
  readonly texts: number
  readonly tokensPerSecond: number
  readonly textsPerSecond: number
  /** Of one call, in milliseconds. */
  readonly p50: number
  readonly p99: number
}

export const bench = command({
  about: `how fast a model runs here (${DEFAULT_EMBEDDER})`,
  usage: '[folder|name]',
  operands: [0, 1],
  options: {
    ...options,
    texts: { kind: 'text', value: 'file', about: 'texts of yours, a line each or as JSONL, as one more workload' },
    seconds: { kind: 'number', range: [1, 600], about: 'for each workload (2)' },
    json,
  },
  examples: ['embed-native bench', 'embed-native bench ./model --dtype int8 --texts texts.jsonl'],
  async run({ operands: [model], options, screen, signal }) {
    const begun = performance.now()
    const embedder = await loadEmbedder({ ...options, model }, screen, signal)
    const loadMs = Math.round(performance.now() - begun)
    const milliseconds = (options.seconds ?? 2) * 1000
    const rows: Measured[] = []
    for (const [workload, texts] of await workloads(options.texts)) {
      rows.push(await measure(embedder, workload, texts, { milliseconds, signal }))
    }
    const { backend, dtype, kernel, threads } = embedder.info
    if (options.json)
      return screen.json({ model: embedder.info.model, backend, dtype, kernel, threads, loadMs, workloads: rows })
    await screen.line(
      `${embedder.info.model}: ${backend}, ${dtype}, ${kernel}, ${counted(threads, 'thread')}; loaded in ${loadMs} ms\n`,
    )
    await screen.table(
      ['workload', 'tokens/s', 'texts/s', 'call p50 ms', 'call p99 ms'],
      rows.map((row) => [row.workload, row.tokensPerSecond, row.textsPerSecond, row.p50, row.p99]),
    )
  },
})

async function workloads(file: string | undefined): Promise<[string, string[]][]> {
  const text = (words: number): string => Array.from({ length: words }, (_, at) => WORDS[at % WORDS.length]).join(' ')
  const all: [string, string[]][] = [
    ['one query of 8 words', [text(8)]],
    ['64 sentences of 20 words', Array.from({ length: 64 }, () => text(20))],
    ['32 passages of 150 words', Array.from({ length: 32 }, () => text(150))],
  ]
  if (file === undefined) return all
  const own: string[] = []
  for await (const item of items([file], inputSettings)) own.push(item.text)
  if (own.length === 0) throw new UsageError(`${file} holds no texts`)
  return [...all, [`${counted(own.length, 'text')} of ${file}`, own]]
}

const inputSettings: { readonly [Name in keyof typeof inputOptions]?: undefined } = {}

async function measure(
  embedder: Embedder,
  workload: string,
  texts: readonly string[],
  { milliseconds, signal }: { milliseconds: number; signal: AbortSignal },
): Promise<Measured> {
  await embedder.embed(texts, { output: 'matrix', signal })
  const calls: number[] = []
  let tokens = 0
  const start = performance.now()
  do {
    const begun = performance.now()
    tokens += (await embedder.embed(texts, { output: 'matrix', signal })).usage.tokens
    calls.push(performance.now() - begun)
  } while (performance.now() - start < milliseconds)
  const seconds = (performance.now() - start) / 1000
  calls.sort((a, b) => a - b)
  const at = (share: number): number => Number((calls[Math.floor((calls.length - 1) * share)] ?? 0).toFixed(2))
  return {
    workload,
    texts: texts.length,
    tokensPerSecond: Math.round(tokens / seconds),
    textsPerSecond: Math.round((texts.length * calls.length) / seconds),
    p50: at(0.5),
    p99: at(0.99),
  }
}
