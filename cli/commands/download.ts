/** `download`: brings models into the cache. */
import { type Downloaded, download as bring } from '@x/embed-native'

import { command } from '../command.js'
import { downloading, hubOptions, json, modelOptions, toHubOptions } from '../model.js'

const { adapter, backend, dtype, 'onnx-file': onnxFile } = modelOptions

export const download = command({
  about: 'bring models into the cache, checked; prints their folders',
  usage: '<name…>',
  operands: [1, Infinity],
  options: { ...hubOptions, backend, dtype, 'onnx-file': onnxFile, adapter, json },
  examples: [
    'embed-native download BAAI/bge-small-en-v1.5',
    'embed-native download --source modelscope Qwen/Qwen3-Embedding-0.6B',
  ],
  async run({ operands, options, screen, signal }) {
    const { backend, dtype, 'onnx-file': onnxFile, adapter } = options
    const settings = { ...toHubOptions(options), backend, dtype, onnxFile, adapter, signal }
    const brought: Downloaded[] = []
    for (const name of operands) {
      const { stop, onProgress } = downloading(screen)
      brought.push(await bring(name, { ...settings, onProgress }).finally(stop))
      if (!options.json) await screen.line(brought.at(-1)!.folder)
    }
    if (options.json) await screen.json(brought)
  },
})
