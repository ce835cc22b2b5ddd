/** `cache`: what is in the cache of models, whether it is right, and how to make room. */
import { type CacheToolOptions, cache as tools } from '@x/embed-native'

import { command, UsageError } from '../command.js'
import { hubOptions, json } from '../model.js'
import { meant, type Values } from '../options.js'
import { bytes, counted, type Screen } from '../screen.js'

const { source, 'cache-dir': cacheDir } = hubOptions
const options = { source, 'cache-dir': cacheDir, json } as const

/** What a tool works with. */
interface Work {
  readonly model: string | undefined
  readonly at: CacheToolOptions
  readonly json: boolean
  readonly screen: Screen
}

const TOOLS: Readonly<Record<string, (work: Work) => Promise<void>>> = {
  async list({ at, json, screen }) {
    const models = await tools.list(at)
    if (json) return screen.json(models)
    const rows = models.flatMap(({ name, size, revisions }) =>
      revisions.map(({ commit, refs, files }) => [
        name,
        bytes(size),
        commit.slice(0, 12),
        refs.join(' '),
        files.length,
      ]),
    )
    await screen.table(['model', 'size', 'commit', 'refs', 'files'], rows)
  },
  async verify({ model, at, json, screen }) {
    const damaged = await tools.verify(model, at)
    if (json) await screen.json(damaged)
    else for (const { name, path, problem } of damaged) await screen.line(`${name}  ${path}: ${problem}`)
    if (damaged.length > 0)
      throw new Trouble(
        'ERR_INTEGRITY',
        `damaged: ${counted(damaged.length, 'file')}; cache remove <name>, then download <name>, for each of these models`,
      )
    if (!json) await screen.line('all files are right')
  },
  async remove({ model, at, json, screen }) {
    if (model === undefined) throw new UsageError('cache remove needs a model: cache remove <name>')
    const count = await tools.remove(model, at)
    if (count === 0) throw new Trouble('ERR_MODEL_NOT_FOUND', `${model} is not in the cache; cache list shows what is`)
    await freed(count, json, screen)
  },
  async prune({ at, json, screen }) {
    await freed(await tools.prune(at), json, screen)
  },
  async size({ at, json, screen }) {
    const [folder, size] = [await tools.folder(at), await tools.size(at)]
    if (json) return screen.json({ folder, size })
    await screen.line(`${bytes(size)} in ${folder}`)
  },
}

/** Makes the exit code 1, with a message and without a stack. */
class Trouble extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

async function freed(count: number, json: boolean, screen: Screen): Promise<void> {
  if (json) await screen.json({ freed: count })
  else await screen.line(`${bytes(count)} freed`)
}

export const cache = command({
  about: `the cache of models: ${Object.keys(TOOLS).join(', ')}`,
  usage: `${Object.keys(TOOLS).join('|')} [model]`,
  operands: [1, 2],
  options,
  examples: [
    'embed-native cache list',
    'embed-native cache verify',
    'embed-native cache remove BAAI/bge-small-en-v1.5',
  ],
  async run({ operands: [tool = '', model], options, screen, signal }) {
    const use = Object.hasOwn(TOOLS, tool) ? TOOLS[tool] : undefined
    if (!use) throw new UsageError(`unknown tool ${tool}${meant(tool, Object.keys(TOOLS))}`)
    if (model !== undefined && tool !== 'verify' && tool !== 'remove')
      throw new UsageError(`cache ${tool} takes no model`)
    await use({ model, at: where(options, signal), json: options.json ?? false, screen })
  },
})

function where({ source, 'cache-dir': cacheDir }: Values<typeof options>, signal: AbortSignal): Work['at'] {
  return { source, cacheDir, signal }
}
