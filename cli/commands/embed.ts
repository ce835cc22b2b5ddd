/** `embed`: texts in, vectors out, in bounded memory. */
import { extname } from 'node:path'
import type { Embedder, EmbedStreamOptions } from '@x/embed-native'

import { command, UsageError } from '../command.js'
import { type Item, inputOptions, items } from '../input.js'
import { loadEmbedder, modelOptions } from '../model.js'
import { meant, type Values } from '../options.js'
import { outputFile, standardOutput } from '../target.js'
import { FORMS, type Form, VectorWriter } from '../vectors.js'

const options = {
  ...modelOptions,
  ...inputOptions,
  output: { kind: 'text', short: 'o', value: 'file', about: 'write there (-, stdout)' },
  to: {
    kind: 'choice',
    choices: FORMS,
    about: 'JSON a line, raw little-endian f32, or NumPy; by the name of the file',
  },
  'with-text': { kind: 'flag', about: 'repeat the text in JSON' },
  purpose: { kind: 'choice', choices: ['query', 'document'], about: "put the model's prompt for it before each text" },
  prompt: { kind: 'text', value: 'name', about: "one of the model's prompts" },
  dimensions: { kind: 'number', range: [1, 1 << 20], about: 'keep the first n numbers (Matryoshka)' },
  'on-overflow': {
    kind: 'choice',
    choices: ['truncate', 'error', 'chunk'],
    about: 'cut texts that are too long (and say so), end, or embed all of them in windows',
  },
} as const

export const embed = command({
  about: 'texts to vectors',
  usage: '[file…]',
  operands: [0, Infinity],
  options,
  examples: [
    "echo 'red fox' | embed-native embed",
    'embed-native embed texts.jsonl -o vectors.npy',
    'embed-native embed --input files notes/*.md --purpose document --to f32 > vectors.bin',
  ],
  async run({ operands, options, screen, signal }) {
    const form = formOf(options)
    const embedder = await loadEmbedder(options, screen, signal)
    checkPrompt(embedder, options.prompt)
    let short = 0
    const onProgress = ({ truncated }: { truncated: readonly number[] }): void => {
      short += truncated.length
    }
    const settings = { ...streamOptions(options, signal), onProgress }
    const target = await (options.output === undefined || options.output === '-'
      ? standardOutput(screen, form === 'npy')
      : outputFile(options.output, form === 'npy'))
    const counter = screen.counter('texts')
    try {
      const dims = options.dimensions ?? embedder.info.dims
      const writer = await VectorWriter.begin(target, form, dims, options['with-text'] ?? false)
      let done = 0
      for await (const [vector, item] of vectors(embedder, items(operands, options), settings)) {
        await writer.add(vector, item)
        counter.update(++done)
      }
      await writer.end()
    } catch (error) {
      await target.discard()
      throw error
    } finally {
      counter.stop()
    }
    screen.cut(short, embedder.info.maxLength, '--on-overflow chunk embeds all of them')
  },
})

type Options = Values<typeof options>

function formOf({ to, output }: Options): Form {
  if (to !== undefined) return to
  const ending = extname(output ?? '').toLowerCase()
  const form = ending === '' ? 'jsonl' : ENDINGS[ending]
  if (form !== undefined) return form
  throw new UsageError(`${output} may hold ${FORMS.join(', ')}: say which with --to, or end it in .jsonl, .f32 or .npy`)
}

/** What files hold by the ends of their names. */
const ENDINGS: Readonly<Record<string, Form>> = {
  '.npy': 'npy',
  '.f32': 'f32',
  '.bin': 'f32',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
}

function checkPrompt({ info }: Embedder, name: string | undefined): void {
  if (name === undefined || Object.hasOwn(info.prompts, name)) return
  const known = Object.keys(info.prompts)
  const has = known.length > 0 ? `it has ${known.join(', ')}${meant(name, known)}` : 'it has none: leave --prompt out'
  throw new UsageError(`${info.model} has no prompt named ${name}; ${has}`)
}

function streamOptions(options: Options, signal: AbortSignal): EmbedStreamOptions<'float32'> {
  const { purpose, prompt, dimensions, 'on-overflow': onOverflow } = options
  return { purpose, prompt, dimensions, onOverflow, priority: 'interactive', signal }
}

/** Vectors with their texts: a stream keeps the order. */
async function* vectors(
  embedder: Embedder,
  source: AsyncIterable<Item>,
  settings: EmbedStreamOptions<'float32'>,
): AsyncGenerator<[Float32Array, Item]> {
  const waiting: Item[] = []
  async function* texts(): AsyncGenerator<string> {
    for await (const item of source) {
      waiting.push(item)
      yield item.text
    }
  }
  for await (const vector of embedder.embedStream(texts(), settings)) yield [vector, waiting.shift()!]
}
