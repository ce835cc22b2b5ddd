/** What users pass in and get back. Types only: nothing here runs. */
import type { HubOptions, LoadProgress } from './hub-types.js'

export type * from './hub-types.js'

/** The stable names of everything that can go wrong. docs/errors.md explains each. */
export type ErrorCode =
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_MODEL_NOT_FOUND'
  | 'ERR_MODEL_FILE'
  | 'ERR_MODEL_UNSUPPORTED'
  | 'ERR_TOKENIZER'
  | 'ERR_TEXT_TOO_LONG'
  | 'ERR_DEADLINE'
  | 'ERR_OVERLOADED'
  | 'ERR_PROMPT'
  | 'ERR_DEVICE'
  | 'ERR_DEVICE_MEMORY'
  | 'ERR_UNSUPPORTED'
  | 'ERR_NOT_FINITE'
  | 'ERR_MEMORY'
  | 'ERR_DISPOSED'
  | 'ERR_INTERNAL'
  | 'ERR_BINDING'
  | 'ERR_SETTINGS'
  | 'ERR_THREADS'
  | 'ERR_BUDGET'
  | 'ERR_DUPLICATE'
  | 'ERR_UNKNOWN_MODEL'
  | 'ERR_BACKEND'
  | 'ERR_NETWORK'
  | 'ERR_HTTP'
  | 'ERR_AUTH'
  | 'ERR_OFFLINE'
  | 'ERR_INTEGRITY'
  | 'ERR_DISK'

/** Where a model computes. A backend or device that this build does not have is refused with a reason, never replaced. */
export interface LoadOptions extends HubOptions {
  /**
   * What executes the model. `native` is this library's own CPU kernels; `candle` runs the same model files on candle;
   * `onnx` runs the folder's ONNX export (see `onnxFile`) on ONNX Runtime, whose library comes with the package `onnxruntime-node` if you
   * install it, or is named by the environment variable ORT_DYLIB_PATH. Only `native` gives the same bits in any batch.
   * @default 'native' on the CPU, 'candle' on a GPU
   */
  backend?: 'native' | 'candle' | 'onnx'
  /**
   * The processor to compute on; several CUDA devices hold a copy of the model each. A device named here that cannot be used is
   * ERR_DEVICE; `auto` takes the first GPU that works, else the CPU, and `info.deviceReason` says why (docs/accelerators.md).
   * @default 'auto'
   */
  device?: Device | readonly Device[]
  /**
   * The number format of the weights and of the multiplies. `f32` repeats the reference implementation to about six digits.
   * `bf16` takes half the memory and is up to twice as fast where the processor multiplies it; `int8` takes less still and is
   * faster on most processors, at some cost in quality (docs/performance.md). `auto` is `bf16` where this processor multiplies
   * it faster than `f32`, else `f32`; `int8` for weights that `convert` made so: `info.dtype` tells.
   * @default 'auto'
   */
  dtype?: 'auto' | 'f32' | 'bf16' | 'f16' | 'int8'
  /**
   * What of ONNX Runtime computes, for `backend: 'onnx'`: the first of these that the library has and that starts here;
   * `info.device` names it. None that works is ERR_BACKEND.
   * @default the environment variable ORT_EXECUTION_PROVIDER, else ['cpu']
   */
  providers?: readonly Provider[]
  /**
   * How many threads compute, 1 to 1024; more than the physical cores that this process may use are not used. Vectors do not
   * depend on it.
   * @default the physical cores that this process may use
   */
  threads?: number
  /**
   * The most tokens of one text that are read, special tokens included: 1 to the number of positions the model has.
   * @default as the model's files say
   */
  maxLength?: number
  /**
   * The most texts that are computed as one batch, 1 to 16,777,216; batches are cut by their tokens, and by the time they take,
   * anyway. Vectors do not depend on it.
   * @default no limit
   */
  maxBatch?: number
  /**
   * How token vectors become one vector, where the model's files are silent or wrong about it: `mean`,
   * `cls`, `max`, `lasttoken`, `mean_sqrt_len_tokens`, `weightedmean`.
   * @default as the model's files say
   */
  pooling?: 'mean' | 'cls' | 'max' | 'lasttoken' | 'mean_sqrt_len_tokens' | 'weightedmean'
  /**
   * The folder of a PEFT LoRA adapter, merged into the weights. Its config files win over the model's; the tensors it does
   * not touch are shared with the model when both are loaded.
   * @default none
   */
  adapter?: string
  /**
   * The graph that `backend: 'onnx'` runs: a path below the model's folder, such as `onnx/model_O3.onnx`.
   * @default of the number format: `onnx/model.onnx`; `model_fp16.onnx`; `model_quantized.onnx`, …
   */
  onnxFile?: string
  /**
   * The most texts that calls of this handle may have waiting or under way; a call beyond that is refused whole with
   * ERR_OVERLOADED. 1 to 16,777,216.
   * @default no limit
   */
  maxQueue?: number
  /**
   * Called while a model that is named is downloaded, about ten times a second; never if all of it is in the cache. What it
   * throws rejects the call.
   */
  onProgress?: (progress: LoadProgress) => void
  /** Stops waiting for the model, and its download: the promise rejects with the signal's reason. */
  signal?: AbortSignal
}

/** What this library finds on this machine, and uses of it. */
export interface Machine {
  /** This package's version, which is that of its binary. */
  readonly version: string
  /** `linux`, `darwin`, `win32`. */
  readonly platform: string
  /** `x64`, `arm64`. */
  readonly arch: string
  /** The C library of a Linux: `glibc 2.36`, or `musl`; null elsewhere. */
  readonly libc: string | null
  /** The file of the native binary; null where it cannot be told. */
  readonly binary: string | null
  /** The instruction sets this CPU can run, slowest first. */
  readonly kernels: readonly string[]
  /** The one in use; null if EMBED_NATIVE_ISA names none of them. */
  readonly kernel: string | null
  /** What is wrong with that setting. */
  readonly problem?: string
  /** Threads that compute: the lesser of the next two. */
  readonly threads: number
  /** Hardware threads that the affinity mask and the cgroup's quota leave this process. */
  readonly usable: number
  /** Physical cores. */
  readonly cores: number
  /** The library of ONNX Runtime that `backend: 'onnx'` would open; null if none is found. */
  readonly onnxRuntime: string | null
}

/** An execution provider of ONNX Runtime. */
export type Provider = 'cuda' | 'tensorrt' | 'coreml' | 'directml' | 'openvino' | 'cpu'

/** A processor of this machine, or a kind of which there is none. */
export interface Processor {
  /** What the option `device` takes: `cpu`, `cuda:0`, `metal`; `cuda` where there is none of that kind. */
  readonly device: Exclude<Device, 'auto'>
  /** Its maker's name; null where there is none, or where the system does not tell that of the CPU. */
  readonly name: string | null
  /** Bytes of its own memory; of the CPU, the machine's, or its cgroup's limit. */
  readonly memory: number | null
  /** The compute capability of a CUDA device: `9.0`. */
  readonly capability: string | null
  /** What it is known by, whatever its place: `GPU-6f5c…`. */
  readonly uuid: string | null
  /** Where it sits: `0000:65:00.0`. */
  readonly bus: string | null
  /** Whether a model can run on it. */
  readonly usable: boolean
  /** Why not, and what to do. */
  readonly reason: string | null
}

/** A processor: the best one that works, the CPU, a CUDA device, or Apple's GPU. */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}` | 'metal'

/** A vector of whole numbers, with a buffer of its own. */
export type Int8Vector = Int8Array<ArrayBuffer>

/** A vector of bits, eight in a byte, the first the most significant; with a buffer of its own. */
export type BinaryVector = Uint8Array<ArrayBuffer>

/** What can be compared: numbers, whole numbers of 8 bits, or bits that stand for -1 and 1, eight in a byte. */
export type AnyVector = Float32Array | Int8Array | Uint8Array

/** The forms a vector can take. */
export type OutputName = 'float32' | 'matrix' | 'array' | 'int8' | 'binary'

/** What calls that compute share. */
export interface RequestOptions {
  /**
   * The side that is cut off.
   * @default as the tokenizer's files say, mostly 'right'
   */
  truncationSide?: 'right' | 'left'
  /**
   * Whether somebody waits: `background` work runs in the gaps that `interactive` calls leave.
   * @default 'interactive'; streams: 'background'
   */
  priority?: 'interactive' | 'background'
  /**
   * Milliseconds after which the call fails with ERR_DEADLINE, and work that has not begun is dropped.
   * @default none
   */
  deadline?: number
  /** Stops the call: the promise rejects with the signal's reason at once, and work that has not begun is dropped. */
  signal?: AbortSignal
}

/** How texts become vectors. */
export interface EmbedOptions<Output extends OutputName = OutputName> extends RequestOptions {
  /**
   * What to put before each text: the name of one of the model's prompts (see `info.prompts`), or a text of your own.
   * In `embedQuery` and `embedDocument` it replaces the model's prompt.
   * @default the model's default prompt, if its files name one
   */
  prompt?: string | { readonly text: string }
  /**
   * Keeps the first so many numbers of each vector, for models trained to be cut (Matryoshka). 1 to `info.dims`.
   * @default info.dims
   */
  dimensions?: number
  /**
   * Whether vectors are scaled to length 1.
   * @default as the model's own pipeline does, see `info.normalizes`
   */
  normalize?: boolean
  /**
   * `float32`: a Float32Array a text, each with its own buffer. `matrix`: one Float32Array for all texts, row after row.
   * `array`: a plain array of numbers a text. `int8` and `binary`: an Int8Array or a Uint8Array a text, as `quantize` makes it.
   * @default 'float32'
   */
  output?: Output
  /**
   * The range of each dimension, from `calibrate`, for `output: 'int8'`.
   * @default each vector by its own largest number
   */
  ranges?: Ranges
  /**
   * What to do with a text of more than `info.maxLength` tokens: cut it, fail with ERR_TEXT_TOO_LONG, or embed all of it in
   * windows that overlap by an eighth, each behind the prompt; their mean by tokens is the vector.
   * @default 'truncate'
   */
  onOverflow?: 'truncate' | 'error' | 'chunk'
  /** Called after each part of a large call. What it throws rejects the call. */
  onProgress?: (progress: Progress) => void
}

/** How a stream of texts is embedded: the options of one call but for its deadline, and what the texts are for. */
export type StreamOptions<Options> = Omit<Options, 'onProgress' | 'deadline'> & {
  /**
   * What the texts are for: puts the model's own prompt for queries or for documents before each, where it has one.
   * @default neither; of a MultiVectorEmbedder 'document'
   */
  purpose?: 'query' | 'document'
  /** Called after each group of texts. What it throws ends the stream. */
  onProgress?: (progress: StreamProgress) => void
}

/** How a stream of texts becomes a stream of vectors. */
export interface EmbedStreamOptions<Output extends StreamOutputName = StreamOutputName>
  extends StreamOptions<Omit<EmbedOptions, 'output'>> {
  /**
   * `float32`: a Float32Array a text, with its own buffer. `array`: a plain array of numbers a text. `int8` and `binary`: an
   * Int8Array or a Uint8Array a text, as `quantize` makes it.
   * @default 'float32'
   */
  output?: Output
}

/** The forms a vector of a stream can take. */
export type StreamOutputName = Exclude<OutputName, 'matrix'>

/** What one text of a stream gives, by `output`. */
export interface Streamed {
  float32: Vector
  array: number[]
  int8: Int8Vector
  binary: BinaryVector
}

/** How far a stream has come, in texts. */
export interface StreamProgress {
  /** Texts whose results were read. */
  readonly done: number
  /** Tokens of the last group, after truncation. */
  readonly tokens: number
  /** Texts of the last group that were cut: their places in the stream. */
  readonly truncated: readonly number[]
}

/** How a stream of documents is scored. */
export interface RerankStreamOptions<Document = unknown>
  extends Omit<RerankOptions<Document>, 'topN' | 'onProgress' | 'deadline'> {
  /** Called after each group of documents. What it throws ends the stream. */
  onProgress?: (progress: StreamProgress) => void
}

/** How documents are scored. */
export interface RerankOptions<Document = unknown> extends RequestOptions {
  /**
   * How many of the best documents to return.
   * @default all
   */
  topN?: number
  /**
   * What makes a document fit, for language models that rerank (Qwen3-Reranker); others refuse it with ERR_UNSUPPORTED.
   * @default 'Given a web search query, retrieve relevant passages that answer the query'
   */
  instruction?: string
  /**
   * Which number a document gets: the logit through what the model's config names (else the logistic function), through the
   * logistic function, or as it is.
   * @default 'model'
   */
  score?: 'model' | 'sigmoid' | 'logit'
  /**
   * The text of a document that is not a string; a string is its own text.
   * @default its property `text`
   */
  text?: (document: Exclude<Document, string>) => string
  /**
   * What to do with a pair of more than `info.maxLength` tokens: cut the longer of the two first, fail with
   * ERR_TEXT_TOO_LONG, or read the document in windows that overlap by an eighth and take the best score.
   * @default 'truncate'
   */
  onOverflow?: 'truncate' | 'error' | 'chunk'
  /** Called after each part of a large call. What it throws rejects the call. */
  onProgress?: (progress: Progress) => void
}

/** How texts become scores of labels. */
export interface ClassifyOptions extends RequestOptions {
  /**
   * How many of the best labels to return for each text.
   * @default all
   */
  topN?: number
  /**
   * Which number a label gets: what the model's config says (softmax, or the logistic function of each by itself where
   * labels do not exclude one another), the logistic function of its logit, or the logit.
   * @default 'model'
   */
  score?: 'model' | 'sigmoid' | 'logit'
  /**
   * What to do with a text of more than `info.maxLength` tokens: cut it, or fail with ERR_TEXT_TOO_LONG.
   * @default 'truncate'
   */
  onOverflow?: 'truncate' | 'error'
  /** Called after each part of a large call. What it throws rejects the call. */
  onProgress?: (progress: Progress) => void
}

/** A scored label. */
export interface Label {
  /** As the model's config names it. */
  readonly label: string
  /** Higher is likelier. */
  readonly score: number
}

/** How texts become sparse vectors, or all that a hybrid model makes. */
export interface SparseOptions extends RequestOptions {
  /**
   * What to put before each text: the name of one of the model's prompts, or a text of your own.
   * @default the model's default prompt, if its files name one
   */
  prompt?: string | { readonly text: string }
  /**
   * What to do with a text of more than `info.maxLength` tokens: cut it, fail with ERR_TEXT_TOO_LONG, or read all of it in
   * windows that overlap by an eighth: a token's weight is the largest of any window.
   * @default 'truncate'
   */
  onOverflow?: 'truncate' | 'error' | 'chunk'
  /** Called after each part of a large call. What it throws rejects the call. */
  onProgress?: (progress: Progress) => void
}

/** A vector of mostly zeros: the others, and where they stand. */
export interface SparseVector {
  /** Ids of tokens, ascending. */
  readonly indices: Uint32Array<ArrayBuffer>
  /** Their weights, above 0. */
  readonly values: Vector
}

/** What a hybrid model makes of a text. */
export interface HybridVector {
  /** One vector, as `Embedder.embed` gives it. */
  readonly dense: Vector
  /** Weights of its tokens, as `SparseEmbedder.embed` gives them. */
  readonly sparse: SparseVector
  /** A vector for each of its tokens, as `MultiVectorEmbedder` gives them. */
  readonly multiVector: Matrix
}

/** How texts become vectors of their tokens. */
export interface MultiVectorOptions extends RequestOptions {
  /**
   * What to do with a text of more tokens than the model takes: cut it, fail with ERR_TEXT_TOO_LONG, or read all of a document
   * in windows that overlap by an eighth, and keep the vectors of all. Queries refuse the last with ERR_UNSUPPORTED.
   * @default 'truncate'
   */
  onOverflow?: 'truncate' | 'error' | 'chunk'
  /** Called after each part of a large call. What it throws rejects the call. */
  onProgress?: (progress: Progress) => void
}

/** Says where the text is, for documents that are neither strings nor have a `text`. */
export interface WithPicker<Document> {
  text: (document: Exclude<Document, string>) => string
}

/** A scored document. */
export interface Ranked<Document> {
  /** Its index in the documents of the call. */
  readonly index: number
  /** Higher is better. */
  readonly score: number
  /** The document as it was given. */
  readonly document: Document
}

/** How far a call has come, in texts. */
export interface Progress {
  /** Texts that are embedded. */
  readonly done: number
  /** All texts of the call. */
  readonly total: number
}

/** The options of `countTokens`. */
export interface CountOptions {
  /** Stops the call: the promise rejects with the signal's reason. */
  signal?: AbortSignal
}

/** The options of `topK`. */
export interface SearchOptions {
  /** Stops the search: the promise rejects with the signal's reason. */
  signal?: AbortSignal
}

/** What a call cost. Not enumerable, so that it shows neither in JSON nor in comparisons. */
export interface Usage {
  /** Tokens computed, special ones included, after truncation. */
  readonly tokens: number
  /** The texts that were cut: their indices in the call, ascending. */
  readonly truncated: readonly number[]
}

/** Where the time of a call went, in milliseconds. Not enumerable, as `Usage`. */
export interface Timing {
  /** From the call to its result. */
  readonly total: number
  /** Waiting for the engine, added up over the parts of a large call. */
  readonly queue: number
  /** From texts to token ids. Work of several threads is added up; calls that were computed together share by their tokens. */
  readonly tokenization: number
  /** In the backend, counted likewise. */
  readonly inference: number
}

/** A call that ended, as subscribers of the channel `embed-native:call` (node:diagnostics_channel) get it. */
export interface CallEvent {
  /** `embed`, `embedQuery`, `rerank`, `countTokens`, … */
  readonly method: string
  /** The model's folder or name. */
  readonly model: string
  /** Texts or documents of the call. */
  readonly texts: number
  /** Tokens computed; 0 if the call failed. */
  readonly tokens: number
  /** Where the time went; of a call that failed only the total is known. */
  readonly timing: Timing
  /** What the promise rejected with, if it did. */
  readonly error?: unknown
}

/** What calls of one handle came to so far. */
export interface Stats {
  /** Calls that ended well; of a stream, groups of texts. */
  readonly calls: number
  /** Calls that rejected, those that were aborted or refused included; wrong arguments make no call. */
  readonly failed: number
  /** Texts or documents of calls that ended well. */
  readonly texts: number
  /** Tokens computed for them. */
  readonly tokens: number
  /** Texts that are waiting or under way. */
  readonly waiting: number
  /** Milliseconds of the calls that ended well, added up. */
  readonly timing: Timing
}

/** A result that says what it cost. */
export type WithUsage<Result> = Result & { readonly usage: Usage; readonly timing: Timing }

/** Numbers in memory of their own, which may be kept, stored or transferred. */
export type Vector = Float32Array<ArrayBuffer>

/** All vectors of a call in one Float32Array, row after row: row `i` is `subarray(i * dims, (i + 1) * dims)`. */
export interface Matrix extends Vector {
  /** How many vectors. */
  readonly rows: number
  /** Numbers in each vector. */
  readonly dims: number
}

/** What one text gives, by `output`. */
export interface Single {
  float32: WithUsage<Vector>
  matrix: WithUsage<Matrix>
  array: WithUsage<number[]>
  int8: WithUsage<Int8Vector>
  binary: WithUsage<BinaryVector>
}

/** What an array of texts gives, by `output`, in the order of the texts. */
export interface Several {
  float32: WithUsage<Vector[]>
  matrix: WithUsage<Matrix>
  array: WithUsage<number[][]>
  int8: WithUsage<Int8Vector[]>
  binary: WithUsage<BinaryVector[]>
}

/** The least and the greatest number of each dimension, over vectors like those to come. As JSON they are plain arrays. */
export interface Ranges {
  readonly min: Float32Array | readonly number[]
  readonly max: Float32Array | readonly number[]
}

/** The forms of `quantize`, and what each gives. */
export interface Quantized {
  int8: Int8Vector
  binary: BinaryVector
}

/** One row found by `topK`. */
export interface Match {
  /** The row's index in the vectors that were searched. */
  readonly index: number
  /** Cosine similarity with the query, -1 to 1. */
  readonly score: number
}

/** What is known about a loaded model. */
export interface ModelInfo {
  /** The folder or name that was asked for. */
  readonly model: string
  /** The commit, if the model was loaded by name. */
  readonly revision?: string
  /** The architecture's name, as in the model's config.json. */
  readonly architecture: string
  /** Numbers in a vector. */
  readonly dims: number
  /** The most tokens of one text that are read, special ones included. */
  readonly maxLength: number
  /** How token vectors become one vector; `graph` where an ONNX graph does it by itself. */
  readonly pooling: string
  /** A classifier's labels, in the order of its logits. */
  readonly labels?: readonly string[]
  /** The model's own prompts, by name. */
  readonly prompts: Readonly<Record<string, string>>
  /** Whether the model's own pipeline scales vectors to length 1. */
  readonly normalizes: boolean
  /** What executes the model. */
  readonly backend: NonNullable<LoadOptions['backend']>
  /** The processor in use, several with commas; a provider of ONNX Runtime with `backend: 'onnx'`. */
  readonly device: Exclude<Device, 'auto'> | `cuda:${number},${string}` | Provider
  /** Why that processor. */
  readonly deviceReason: string
  /** What is against a GPU that this binary was made for, where `auto` leaves it aside; it was told as a warning, too. */
  readonly deviceWarning?: string
  /** The number format of the weights in use; `int4` of an ONNX graph that has it. */
  readonly dtype: Exclude<LoadOptions['dtype'], 'auto' | undefined> | 'int4'
  /** Why that number format. */
  readonly dtypeReason: string
  /** The instruction set in use. */
  readonly kernel: string
  /** How many threads compute. */
  readonly threads: number
  /** Whether the same text gives the same bits in any batch. */
  readonly batchInvariant: boolean
  /** A short hash of everything that changes vectors. Keep it beside an index: if it differs, embed again. */
  readonly fingerprint: string
}
