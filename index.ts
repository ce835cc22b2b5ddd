/**
 * Text embeddings inside the Node process: load a model, embed texts, compare vectors.
 *
 * ```ts
 * import { Embedder } from '@x/embed-native'
 *
 * const embedder = await Embedder.load('sentence-transformers/all-MiniLM-L6-v2') // or a folder
 * const vectors = await embedder.embed(['red fox', 'blue whale'])
 * const query = await embedder.embedQuery('orange animal')
 * const [best] = await embedder.topK(query, vectors, 1) // { index: 0, score: … }
 * ```
 *
 * Every promise rejects with an error that has a `code`: a `ModelError`, or a `TypeError` or `RangeError` with
 * ERR_INVALID_ARGUMENT for wrong arguments; after an abort, with the signal's reason. See docs/errors.md.
 */
import { binding } from './lib/binding.js'
import manifest from './package.json' with { type: 'json' }

export { type Cache, cache } from './lib/cache.js'
export { type CatalogueFact, type CatalogueModel, catalogue } from './lib/catalogue.js'
export { Classifier } from './lib/classifier.js'
export { convert } from './lib/convert.js'
export { download } from './lib/download.js'
export { Embedder } from './lib/embedder.js'
export { ModelError } from './lib/errors.js'
export { HybridEmbedder } from './lib/hybrid.js'
export { devices, machine } from './lib/machine.js'
export { Models } from './lib/models.js'
export { MultiVectorEmbedder, maxSim } from './lib/multi-vector.js'
export { calibrate, quantize } from './lib/quantize.js'
export { Reranker } from './lib/reranker.js'
export { SparseEmbedder, sparseSimilarity } from './lib/sparse.js'
export { similarity, topK } from './lib/vectors.js'
export type {
  LaunchOptions,
  ModelsOptions,
  ModelsSettings,
  ModelsStats,
  ProcessWork,
  Registered,
  Registration,
  RunningModel,
  Task,
} from './lib/models-types.js'
export type {
  AnyVector,
  BinaryVector,
  CachedModel,
  CachedRevision,
  CacheOptions,
  CacheToolOptions,
  CallEvent,
  ClassifyOptions,
  Converted,
  ConvertOptions,
  CountOptions,
  DamagedFile,
  Device,
  Downloaded,
  DownloadOptions,
  EmbedOptions,
  EmbedStreamOptions,
  ErrorCode,
  HubOptions,
  HybridVector,
  Label,
  Int8Vector,
  LoadOptions,
  LoadProgress,
  Machine,
  Match,
  Matrix,
  ModelInfo,
  MultiVectorOptions,
  OutputName,
  Processor,
  Provider,
  Quantized,
  Ranges,
  Progress,
  Ranked,
  RequestOptions,
  RerankOptions,
  RerankStreamOptions,
  SearchOptions,
  Several,
  Single,
  SparseOptions,
  SparseVector,
  Streamed,
  Stats,
  StreamOptions,
  StreamOutputName,
  StreamProgress,
  Timing,
  Usage,
  Vector,
  WithPicker,
  WithUsage,
} from './lib/types.js'

/** This package's version. */
export const version: string = manifest.version

/**
 * The instruction sets that this machine can run, slowest first. A model uses the last one, unless the environment
 * variable EMBED_NATIVE_ISA names another when the first model is loaded. Vectors differ between them in the last bits.
 *
 * @throws ERR_BINDING
 */
export function kernels(): string[] {
  return binding().kernels()
}
