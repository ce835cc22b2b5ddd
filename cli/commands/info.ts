/** `info`: what a model says about itself once it is loaded. */
import { command } from '../command.js'
import { DEFAULT_EMBEDDER, json, loadFor, modelOptions, TASKS } from '../model.js'

const { model: _, ...options } = modelOptions

export const info = command({
  about: `what is known about a model, once it is loaded (${DEFAULT_EMBEDDER})`,
  usage: '[folder|name]',
  operands: [0, 1],
  options: { ...options, task: { kind: 'choice', choices: TASKS, about: 'what it is loaded for (embed)' }, json },
  examples: ['embed-native info BAAI/bge-small-en-v1.5', 'embed-native info ./ms-marco-MiniLM-L6-v2 --task rerank'],
  async run({ operands: [model], options, screen, signal }) {
    const start = performance.now()
    const loaded = await loadFor(options.task ?? 'embed', { ...options, model }, screen, signal)
    const all = { ...loaded.info, loadMs: Math.round(performance.now() - start) }
    if (options.json) return screen.json(all)
    const shown = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))
    await screen.table(
      ['', ''],
      Object.entries(all).map(([name, value]) => [name, shown(value)]),
    )
  },
})
