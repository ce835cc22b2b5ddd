/** What concerns models that come by name, their downloads, their cache and their conversion. Types only. */
import type { LoadOptions } from './types.js'

/** Where the cache of named models is. */
export interface CacheOptions {
  /**
   * The folder of the cache, in the layout of Python's huggingface_hub, which may use the same.
   * @default HF_HUB_CACHE, or `hub` in HF_HOME, or ~/.cache/huggingface/hub
   */
  cacheDir?: string
  /**
   * Which hub the models are from: each has a cache of its own, unless `cacheDir` names one.
   * @default 'huggingface'
   */
  source?: 'huggingface' | 'modelscope'
}

/** The options of the tools of `cache`. */
export interface CacheToolOptions extends CacheOptions {
  /** Stops waiting: the promise rejects with the signal's reason. What was removed by then stays so. */
  signal?: AbortSignal
}

/** Where a model comes from that is named (`org/name`) and not a folder. */
export interface HubOptions extends CacheOptions {
  /**
   * A branch, a tag or a commit; of a name of 40 hexadecimal digits all is in the cache once, and nothing is asked any more.
   * @default 'main'; of ModelScope 'master'
   */
  revision?: string
  /**
   * Whether no socket may be opened: what is not in the cache is ERR_OFFLINE.
   * @default HF_HUB_OFFLINE, or false
   */
  offline?: boolean
  /**
   * What opens private and gated models. It is sent to the endpoint only.
   * @default HF_TOKEN, or what `hf auth login` wrote
   */
  token?: string
  /**
   * The address of the hub, or of a mirror that speaks as it does.
   * @default HF_ENDPOINT, or https://huggingface.co; of ModelScope MODELSCOPE_ENDPOINT, or https://www.modelscope.cn
   */
  endpoint?: string
}

/** The options of `download`: those of `load` that decide which files are needed. */
export interface DownloadOptions
  extends HubOptions,
    Pick<LoadOptions, 'backend' | 'dtype' | 'adapter' | 'onnxFile' | 'onProgress' | 'signal'> {}

/** A model whose files are at hand. */
export interface Downloaded {
  /** As it was asked for. */
  readonly name: string
  /** The folder of its files, its whole path; `load` takes it, too. */
  readonly folder: string
  /** The commit, if it came from a hub. */
  readonly revision?: string
}

/** What to make of a model's folder. */
export interface ConvertOptions {
  /** A folder that is not there yet, or empty, for the whole model. @default safetensors beside the folder's own pickles */
  output?: string
  /** The number format of the weights; needs `output`. @default as they are */
  dtype?: 'f32' | 'bf16' | 'int8'
  /**
   * With `'int8'`: tables of embeddings, too, in half the bytes, at some cost in quality. Without it they are bfloat16, as in
   * a model loaded with `dtype: 'int8'`.
   * @default false
   */
  smallTables?: boolean
  /** Ends the conversion, of which nothing is left then. */
  signal?: AbortSignal
}

/** A folder after its conversion. */
export interface Converted {
  /** Where the model is: its whole path. */
  readonly folder: string
  /** The files of weights that were written, with slashes. */
  readonly written: readonly string[]
  /** Bytes of all weights in the folder. */
  readonly bytes: number
}

/** How far a download is. What was in the cache does not count. */
export interface LoadProgress {
  /** The file that moved last, by its path in the model. */
  readonly file: string
  /** Bytes of it that are there. */
  readonly fileReceived: number
  /** Its bytes. */
  readonly fileTotal: number
  /** Bytes of all files that are there. */
  readonly received: number
  /** Bytes of all files. It grows when the small files are there and name the large ones. */
  readonly total: number
  /** Bytes a second, over the last seconds. */
  readonly rate: number
  /** Seconds left at that rate; Infinity while there is none. */
  readonly timeLeft: number
}

/** A model in the cache. */
export interface CachedModel {
  /** `org/name`. */
  readonly name: string
  /** Bytes on disk. */
  readonly size: number
  /** Its snapshots. */
  readonly revisions: readonly CachedRevision[]
}

/** A snapshot in the cache. */
export interface CachedRevision {
  /** 40 hexadecimal digits. */
  readonly commit: string
  /** Branches and tags that named it when they were last asked for. */
  readonly refs: readonly string[]
  /** Its folder, which `load` takes, too. */
  readonly folder: string
  /** Paths of its files. */
  readonly files: readonly string[]
}

/** A file of the cache whose bytes are not those it is named by. */
export interface DamagedFile {
  /** `org/name`. */
  readonly name: string
  /** Its path. */
  readonly path: string
  /** What is wrong with it. */
  readonly problem: string
}
