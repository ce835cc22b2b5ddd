/** `models`: the models that load here without a network: those of the cache, and those of a folder of model folders. */
import { existsSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { cache, type Task } from '@x/embed-native'

import { command } from '../command.js'
import { hubOptions, json } from '../model.js'
import { bytes } from '../screen.js'

/** A model on this disk. */
interface Found {
  readonly name: string
  readonly folder: string
  /** `model_type` of its config.json. */
  readonly architecture: string | null
  /** What it can be loaded for. */
  readonly use: readonly Task[]
  readonly dims: number | null
  /** Of its weights. */
  readonly bytes: number
}

export const models = command({
  about: 'the models that are on this disk: in the cache, or below a folder',
  usage: '[folder]',
  operands: [0, 1],
  options: { source: hubOptions.source, 'cache-dir': hubOptions['cache-dir'], json },
  examples: ['embed-native models', 'embed-native models ./models --json'],
  async run({ operands: [folder], options: { json, source, 'cache-dir': cacheDir }, screen }) {
    const places = folder === undefined ? await cached({ source, cacheDir }) : await below(folder, '')
    const found = (await Promise.all(places.map(({ name, folder }) => look(name, folder)))).filter(
      ({ architecture, bytes }) => architecture !== null || bytes > 0,
    )
    if (json) return screen.json(found)
    await screen.table(
      ['model', 'use', 'architecture', 'dims', 'weights'],
      found.map(({ name, use, architecture, dims, bytes: size }) => [
        name,
        use.join(' ') || '?',
        architecture ?? '?',
        dims ?? '?',
        size > 0 ? bytes(size) : 'none',
      ]),
    )
  },
})

interface Place {
  readonly name: string
  readonly folder: string
}

/** The newest snapshot of each model: the one that a branch names, if any does. */
async function cached(at: Parameters<typeof cache.list>[0]): Promise<Place[]> {
  const all = await cache.list(at)
  return all.flatMap(({ name, revisions }) => {
    const newest = revisions.find(({ refs }) => refs.length > 0) ?? revisions[0]
    return newest ? [{ name, folder: newest.folder }] : []
  })
}

/** Folders with a config.json, two levels deep, as `org/name`. */
async function below(folder: string, name: string, depth = 2): Promise<Place[]> {
  if (existsSync(join(folder, 'config.json'))) return [{ name: name || folder, folder }]
  if (depth === 0) return []
  const entries = (await readdir(folder, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  const inside = entries.map((entry) => below(join(folder, entry.name), join(name, entry.name), depth - 1))
  return (await Promise.all(inside)).flat()
}

async function look(name: string, folder: string): Promise<Found> {
  const config = await readConfig(folder)
  const text = (key: string): string | null => (typeof config[key] === 'string' ? (config[key] as string) : null)
  const number = (key: string): number | null => (typeof config[key] === 'number' ? (config[key] as number) : null)
  const use = text('model_type') === null ? [] : await uses(folder, config)
  return {
    name,
    folder,
    architecture: text('model_type'),
    use,
    dims: !embeds(use) ? null : (number('hidden_size') ?? number('dim') ?? number('d_model')),
    bytes: await weights(folder),
  }
}

function embeds(use: readonly Task[]): boolean {
  return use.some((task) => task === 'embed' || task === 'late')
}

/** As far as names of heads, modules and files tell; only a load knows. */
async function uses(folder: string, config: Record<string, unknown>): Promise<Task[]> {
  const heads = Array.isArray(config.architectures) ? config.architectures.map(String) : []
  const modules = JSON.stringify(await readConfig(folder, 'modules.json'))
  const has = (file: string): boolean => existsSync(join(folder, file))
  const besides: Task[] = has('modules.json') ? ['embed'] : []
  if (heads.some((head) => head.endsWith('ForSequenceClassification'))) {
    const labels = Object.keys(Object(config.id2label)).length || (config.num_labels ?? 2)
    return [...besides, labels === 1 ? 'rerank' : 'classify']
  }
  if (/SpladePooling/.test(modules)) return ['sparse']
  if (/pylate\.|MultiVectorMask/.test(modules) || heads.includes('HF_ColBERT')) return ['late']
  if (heads.some((head) => head.endsWith('ForCausalLM')) && besides.length === 0) return ['embed', 'rerank']
  const layers = [
    ['sparse_linear', 'sparse'],
    ['colbert_linear', 'late'],
  ] as const
  const found = layers.filter(([file]) => has(`${file}.safetensors`)).map(([, task]) => task)
  return ['embed', ...found, ...(found.length === layers.length ? (['hybrid'] as const) : [])]
}

/** What cannot be read says nothing: the loader says why, when it is asked to. */
async function readConfig(folder: string, name = 'config.json'): Promise<Record<string, unknown>> {
  const file = join(folder, name)
  if (!existsSync(file)) return {}
  try {
    return Object(JSON.parse(await readFile(file, 'utf8'))) as Record<string, unknown>
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

async function weights(folder: string): Promise<number> {
  const paths = await readdir(folder, { recursive: true })
  const named = paths.filter((path) => /\.(safetensors|onnx|onnx_data)$/.test(path))
  const sizes = await Promise.all(named.map(async (path) => (await stat(join(folder, path))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
