/** The options by which commands load a model, and loading it with a bar while it is downloaded. */
import {
  Classifier,
  Embedder,
  HybridEmbedder,
  type LoadOptions,
  type LoadProgress,
  type ModelInfo,
  MultiVectorEmbedder,
  Reranker,
  SparseEmbedder,
  type Task,
} from '@x/embed-native'

import { UsageError } from './command.js'
import type { Values } from './options.js'
import { bytes, type Screen } from './screen.js'

/** Where models come from. */
export const hubOptions = {
  revision: { kind: 'text', value: 'name', about: 'branch, tag or commit of a model by name' },
  offline: { kind: 'flag', about: 'open no socket: use what is in the cache' },
  endpoint: { kind: 'text', value: 'address', about: 'a mirror of the hub' },
  source: { kind: 'choice', choices: ['huggingface', 'modelscope'], about: 'which hub' },
  'cache-dir': { kind: 'text', value: 'folder', about: 'the cache of models' },
} as const

/** Small, and good for English. */
export const DEFAULT_EMBEDDER = 'sentence-transformers/all-MiniLM-L6-v2'
/** Likewise. */
export const DEFAULT_RERANKER = 'cross-encoder/ms-marco-MiniLM-L6-v2'

const WHICH = 'a folder, or a name as on the Hugging Face hub'

/** How an embedder is loaded. */
export const modelOptions = {
  model: { kind: 'text', short: 'm', value: 'folder|name', about: `${WHICH} (${DEFAULT_EMBEDDER})` },
  dtype: { kind: 'choice', choices: ['auto', 'f32', 'bf16', 'f16', 'int8'], about: 'number format of the weights' },
  backend: { kind: 'choice', choices: ['native', 'candle', 'onnx'], about: 'what executes the model' },
  device: { kind: 'list', value: 'auto|cpu|cuda|cuda:N|metal', about: 'where it runs; several as cuda:0,cuda:1' },
  providers: {
    kind: 'list',
    choices: ['cuda', 'tensorrt', 'coreml', 'directml', 'openvino', 'cpu'],
    value: 'name,…',
    about: 'of ONNX Runtime, for backend onnx: the first that works',
  },
  'onnx-file': { kind: 'text', value: 'path', about: "the graph for backend onnx, below the model's folder" },
  threads: { kind: 'number', range: [1, 1024], about: 'threads that compute' },
  'max-length': { kind: 'number', range: [1, 2 ** 31 - 1], about: 'tokens of a text that are read' },
  'max-batch': { kind: 'number', range: [1, 2 ** 24], about: 'texts that are computed at once (no limit)' },
  pooling: {
    kind: 'choice',
    choices: ['mean', 'cls', 'max', 'lasttoken', 'mean_sqrt_len_tokens', 'weightedmean'],
    about: "of an embedder, where the model's files are silent or wrong",
  },
  adapter: { kind: 'text', value: 'folder|name', about: 'a LoRA adapter to merge' },
  ...hubOptions,
} as const

const { pooling: _, ...ofAnyModel } = modelOptions

/** How a reranker is loaded. */
export const rerankerOptions = {
  ...ofAnyModel,
  model: { ...modelOptions.model, about: `${WHICH} (${DEFAULT_RERANKER})` },
} as const

/** `--json`, of commands that report. */
export const json = { kind: 'flag', about: 'as JSON' } as const

type Hub = Values<typeof hubOptions>
type Model = Values<typeof modelOptions>

/** The library's options. */
export function toHubOptions({ revision, offline, endpoint, source, 'cache-dir': cacheDir }: Hub): LoadOptions {
  return { revision, offline, endpoint, source, cacheDir }
}

function toLoadOptions(typed: Model, screen: Screen, signal: AbortSignal): LoadOptions & { stop(): void } {
  const { dtype, backend, device, providers, threads, pooling, adapter } = typed
  const { 'onnx-file': onnxFile, 'max-length': maxLength, 'max-batch': maxBatch } = typed
  return {
    ...toHubOptions(typed),
    ...{ dtype, backend, device: device as LoadOptions['device'], providers, onnxFile },
    ...{ threads, maxLength, maxBatch, pooling, adapter, signal },
    ...downloading(screen),
  }
}

/** A bar of a download, for `onProgress`. */
export function downloading(screen: Screen): { onProgress(progress: LoadProgress): void; stop(): void } {
  const bar = screen.bar('downloading')
  return {
    onProgress: ({ file, received, total, rate, timeLeft }) => {
      const left = Number.isFinite(timeLeft) ? `, ${Math.ceil(timeLeft)} s left` : ''
      bar.update(received, total, `of ${bytes(total)} · ${bytes(rate)}/s${left} · ${file}`)
    },
    stop: () => bar.stop(),
  }
}

/** Loads the embedder that was asked for, or the default one. */
export async function loadEmbedder(typed: Model, screen: Screen, signal: AbortSignal): Promise<Embedder> {
  const { stop, ...options } = toLoadOptions(typed, screen, signal)
  return Embedder.load(typed.model ?? DEFAULT_EMBEDDER, options).finally(stop)
}

/** Loads a reranker. */
export async function loadReranker(typed: Model, screen: Screen, signal: AbortSignal): Promise<Reranker> {
  const { stop, ...options } = toLoadOptions(typed, screen, signal)
  return Reranker.load(typed.model ?? DEFAULT_RERANKER, options).finally(stop)
}

/** What a model can be loaded for. */
export const TASKS = ['embed', 'rerank', 'classify', 'sparse', 'late', 'hybrid'] as const satisfies readonly Task[]

/** Loads a model for a task, to look at it. */
export async function loadFor(
  task: Task,
  typed: Model,
  screen: Screen,
  signal: AbortSignal,
): Promise<{ readonly info: ModelInfo }> {
  if (task === 'embed') return loadEmbedder(typed, screen, signal)
  if (task === 'rerank') return loadReranker(typed, screen, signal)
  if (typed.model === undefined) throw new UsageError(`a model for ${task} has to be named`)
  const { stop, ...options } = toLoadOptions(typed, screen, signal)
  const kind = { classify: Classifier, sparse: SparseEmbedder, late: MultiVectorEmbedder, hybrid: HybridEmbedder }[task]
  return kind.load(typed.model, options).finally(stop)
}
