/** `convert`: pickles to safetensors, and weights to fewer bits. */
import { setTimeout as pause } from 'node:timers/promises'

import { convert as make } from '@x/embed-native'

import { command, UsageError } from '../command.js'
import { json } from '../model.js'
import { bytes } from '../screen.js'

/** A conversion that is stopped clears away what it wrote: after the tensor at hand. */
const CLEARING_MS = 400

export const convert = command({
  about: 'make safetensors of pickles, which are not run, or weights of fewer bits',
  usage: '<folder>',
  operands: [1, 1],
  options: {
    output: {
      kind: 'text',
      short: 'o',
      value: 'folder',
      about: 'a new folder for the whole model (beside the pickles)',
    },
    dtype: { kind: 'choice', choices: ['int8', 'bf16', 'f32'], about: 'what weights become (as they are)' },
    'small-tables': { kind: 'flag', about: 'with int8: tables of embeddings, too, at some cost in quality' },
    json,
  },
  examples: [
    'embed-native convert ./bge-large-zh',
    'embed-native convert ./all-MiniLM-L6-v2 --dtype int8 --output ./all-MiniLM-L6-v2-int8',
  ],
  async run({ operands: [folder = ''], options, screen, signal }) {
    const { output, dtype, 'small-tables': smallTables } = options
    if (dtype !== undefined && output === undefined) throw new UsageError('--dtype needs --output <folder>')
    if (smallTables && dtype !== 'int8') throw new UsageError('--small-tables goes with --dtype int8')
    const converted = await make(folder, { output, dtype, smallTables, signal }).catch(async (error: unknown) => {
      if (signal.aborted) await pause(CLEARING_MS)
      throw error
    })
    if (options.json) return screen.json(converted)
    if (converted.written.length === 0) screen.remark('nothing to convert: no pickle without safetensors beside it')
    for (const file of converted.written) await screen.line(`wrote ${file}`)
    await screen.line(`${converted.folder}: ${bytes(converted.bytes)} of weights`)
  },
})
