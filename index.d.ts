export { type Cache, cache } from './lib/cache.js';
export { type CatalogueFact, type CatalogueModel, catalogue } from './lib/catalogue.js';
export { Classifier } from './lib/classifier.js';
export { convert } from './lib/convert.js';
export { download } from './lib/download.js';
export { Embedder } from './lib/embedder.js';
export { ModelError } from './lib/errors.js';
export { HybridEmbedder } from './lib/hybrid.js';
export { devices, machine } from './lib/machine.js';
export { Models } from './lib/models.js';
export { MultiVectorEmbedder, maxSim } from './lib/multi-vector.js';
export { calibrate, quantize } from './lib/quantize.js';
export { Reranker } from './lib/reranker.js';
export { SparseEmbedder, sparseSimilarity } from './lib/sparse.js';
export { similarity, topK } from './lib/vectors.js';
export type { LaunchOptions, ModelsOptions, ModelsSettings, ModelsStats, ProcessWork, Registered, Registration, RunningModel, Task, } from './lib/models-types.js';
export type { AnyVector, BinaryVector, CachedModel, CachedRevision, CacheOptions, CacheToolOptions, CallEvent, ClassifyOptions, Converted, ConvertOptions, CountOptions, DamagedFile, Device, Downloaded, DownloadOptions, EmbedOptions, EmbedStreamOptions, ErrorCode, HubOptions, HybridVector, Label, Int8Vector, LoadOptions, LoadProgress, Machine, Match, Matrix, ModelInfo, MultiVectorOptions, OutputName, Processor, Provider, Quantized, Ranges, Progress, Ranked, RequestOptions, RerankOptions, RerankStreamOptions, SearchOptions, Several, Single, SparseOptions, SparseVector, Streamed, Stats, StreamOptions, StreamOutputName, StreamProgress, Timing, Usage, Vector, WithPicker, WithUsage, } from './lib/types.js';
/** This package's version. */
export declare const version: string;
/**
 * The instruction sets that this machine can run, slowest first. A model uses the last one, unless the environment
 * variable EMBED_NATIVE_ISA names another when the first model is loaded. Vectors differ between them in the last bits.
 *
 * @throws ERR_BINDING
 */
export declare function kernels(): string[];
