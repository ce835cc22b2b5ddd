/** What users of `Models` pass in and get back. Types only: nothing here runs. */
import type { LoadOptions, ModelInfo } from './types.js'

/** What holds for all models of the process. Single settings win over those of `config`, and those over the preset's. */
export interface ModelsOptions {
  /**
   * What the others begin with: see `presets()`.
   * @default 'default'
   */
  preset?: 'default' | 'performance'
  /**
   * A file of JSON with these settings, but `config`, and with `models`: an object of registrations by name, whose folders are
   * seen from the file.
   */
  config?: string
  /**
   * Bytes for all models and their work. Models get 70 % of it in equal shares: as many as `config` names, or those that run and
   * the new one, if that is more. A model that does not fit its share or what is left is refused with ERR_BUDGET before its
   * weights are read; those that run keep theirs. A budget above the memory of this machine (or its cgroup's limit) and of the GPUs
   * that work is refused. null: no limit.
   * @default null
   */
  memoryBudget?: number | null
  /**
   * Milliseconds without a call after which a model is let go; `get` loads it again. null: never.
   * @default null
   */
  idleTimeout?: number | null
  /**
   * Milliseconds that `launch` and `get` may wait for a model: then they reject with ERR_DEADLINE, and nothing stays. null: no
   * limit.
   * @default null
   */
  loadTimeout?: number | null
  /**
   * The most tokens of a text; a model that reads fewer keeps its own limit. A registration's `maxLength` wins.
   * @default the preset's: 512, or 4096 in 'performance'
   */
  maxLength?: number
  /**
   * Whether a model computes some texts before it is ready.
   * @default the preset's: true in 'performance'
   */
  warmUp?: boolean
  /**
   * How many texts the batches of a warm-up hold, at its shortest length.
   * @default the preset's: 1 to 8 in 'performance'
   */
  batchBuckets?: readonly number[]
  /**
   * How many tokens the texts of a warm-up have, as far as the model reads them.
   * @default the preset's: 512 to 4096 by 512 in 'performance'
   */
  lengthBuckets?: readonly number[]
}

/** The settings that hold. */
export interface ModelsSettings {
  /** The preset they began with. */
  readonly preset: string
  /** Bytes, or null for no limit. */
  readonly memoryBudget: number | null
  /** Milliseconds, or null for never. */
  readonly idleTimeout: number | null
  /** Milliseconds, or null for no limit. */
  readonly loadTimeout: number | null
  /** Tokens. */
  readonly maxLength: number
  /** Whether models compute before they are ready. */
  readonly warmUp: boolean
  /** Texts, ascending. */
  readonly batchBuckets: readonly number[]
  /** Tokens, ascending. */
  readonly lengthBuckets: readonly number[]
  /** How many models the file names. */
  readonly configuredModels: number
}

/**
 * What a model is loaded for, and so its class: `Embedder`, `Reranker`, `Classifier`, `SparseEmbedder`, `MultiVectorEmbedder`,
 * `HybridEmbedder`.
 */
export type Task = 'embed' | 'rerank' | 'classify' | 'sparse' | 'late' | 'hybrid'

/** How a model is loaded when it is launched: its folder, its task, and options of `Embedder.load`. */
export interface Registration
  extends Pick<
    LoadOptions,
    | 'backend'
    | 'device'
    | 'dtype'
    | 'providers'
    | 'threads'
    | 'maxLength'
    | 'maxBatch'
    | 'pooling'
    | 'adapter'
    | 'onnxFile'
  > {
  /** Its folder; kept as a full path. */
  folder: string
  /**
   * What it is for.
   * @default 'embed'
   */
  task?: Task
}

/** A registration and its name. */
export interface Registered extends Registration {
  /** What it is launched by. */
  readonly name: string
}

/** The options of `launch`. */
export interface LaunchOptions {
  /**
   * What the running model is called by: 1 to 64 letters, digits, `.`, `_` and `-`.
   * @default the registration's name
   */
  uid?: string
  /** The processor to compute on, instead of the registration's. */
  device?: LoadOptions['device']
  /**
   * Whether a running model of that uid is terminated first; without it, ERR_DUPLICATE.
   * @default false
   */
  restart?: boolean
  /** Stops the launch: the promise rejects with the signal's reason, and nothing stays. */
  signal?: AbortSignal
}

/** A model that runs in this process, whichever thread launched it. */
export interface RunningModel {
  /** What it is called by. */
  readonly uid: string
  /** The name it was launched by. */
  readonly model: string
  /** What it is for. */
  readonly task: Task
  /** `idle`: let go after `idleTimeout`, and loaded again by `get`. */
  readonly state: 'loading' | 'ready' | 'idle'
  /** About what it holds, or would hold again. */
  readonly bytes: number
  /** What is known about it, while it is ready. */
  readonly info: ModelInfo | null
}

/** What the models of the process come to. */
export interface ModelsStats {
  /** Bytes, or null for no limit. */
  readonly memoryBudget: number | null
  /** What models may hold of it: 70 %. */
  readonly shared: number | null
  /** About what they hold, those that only handles hold included. */
  readonly held: number
  /** Registrations. */
  readonly registered: number
  /** Running models, idle ones included. */
  readonly running: number
  /** Those of them that are loaded. */
  readonly ready: number
  /** What all models of the process have done so far, also those of `Embedder.load` and of other threads. */
  readonly work: ProcessWork
}

/** Sums over all work of a process that has ended. */
export interface ProcessWork {
  /** Texts, or pairs, that were computed. */
  readonly texts: number
  /** Texts that failed by themselves. */
  readonly failed: number
  /** Tokens computed. */
  readonly tokens: number
  /** Milliseconds that work waited for a thread. */
  readonly queue: number
  /** Milliseconds of all threads that turned texts into token ids. */
  readonly tokenization: number
  /** Milliseconds of all threads that computed. */
  readonly inference: number
}
