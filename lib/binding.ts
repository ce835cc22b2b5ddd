/**
 * The native addon: its shape, and finding it. The first candidate that loads wins; EMBED_NATIVE_BINDING names one file instead.
 * It must be of this package's version: what the two say to each other changes.
 */
import manifest from '../package.json' with { type: 'json' }
import { CANDIDATES, cudaCandidate } from './candidates.js'
import { ModelError } from './errors.js'
import { absolute } from './location.js'
import type { Task } from './models-types.js'
import type { AnyVector } from './types.js'
import { libc } from './libc.js'

/** Something went wrong, in the engine's words. */
export interface Fault {
  code: string
  message: string
}

/** A text that failed by itself: its row in the job. */
export interface RowFault extends Fault {
  row: number
}

/** The vectors of one job. */
export interface Rows {
  /** rows × dims, row-major; rows with a fault are zero. */
  matrix: Float32Array
  dims: number
  /** Where each row's values end, where rows differ in length; else empty. */
  ends: Uint32Array
  /** The tokens of weights of sparse rows; else empty. */
  indices: Uint32Array
  /** Where each row's indices end, where rows differ in length; else empty. */
  indexEnds: Uint32Array
  /** Tokens computed, per row. */
  tokens: Uint32Array
  /** Rows that were cut. */
  truncated: Uint32Array
  faults: RowFault[]
  /** Milliseconds: waiting, tokenizing, computing; work of several threads is added up. */
  times: number[]
}

/** How far a download is. */
export interface NativeProgress {
  file: string
  fileReceived: number
  fileTotal: number
  received: number
  total: number
  rate: number
  timeLeft: number
}

/** What a job settles with, JSON among it, or tells before. */
export type Outcome = NativeModel | Rows | NativeProgress | string | null

/** The engine's options for loading. */
export interface NativeLoadOptions {
  backend?: string
  device?: string
  dtype?: string
  threads?: number
  maxLength?: number
  maxBatch?: number
  pooling?: string
  adapter?: string
  onnxFile?: string
  onnxLibrary?: string
  providers?: string[]
  hub?: NativeHubOptions
}

/** The engine's options for hubs and their cache. */
export interface NativeHubOptions {
  revision?: string
  cacheDir?: string
  offline?: boolean
  token?: string
  endpoint?: string
  source?: string
}

/** A query and the documents that are read with it. */
export interface NativePairs {
  query: string
  documents: string[]
}

/** The engine's options for reranking. */
export interface NativeRerankOptions {
  instruction?: string
  score?: string
  overflow?: string
  truncationSide?: string
  priority?: string
}

/** The engine's options for embedding: all texts of a job share them. */
export interface NativeEmbedOptions {
  prompt?: string
  promptText?: string
  purpose?: string
  dimensions?: number
  normalize?: boolean
  score?: string
  overflow?: string
  truncationSide?: string
  priority?: string
}

/** A loaded model's handle. */
export interface NativeModel {
  info(): string
  task(): Task
  dispose(): void
}

/** The way into the native side. */
export interface NativeEngine {
  load(job: number, task: Task, model: string, options: NativeLoadOptions): void
  /** `launch` is JSON, as is everything about the models of the process. */
  launch(job: number, launch: string): number
  openRunning(job: number, uid: string): void
  download(job: number, model: string, options: NativeLoadOptions): void
  /** `wanted` is JSON. */
  convert(job: number, folder: string, wanted: string): void
  cache(job: number, tool: string, model: string | null, options: NativeHubOptions): void
  /** Jobs of one line begin in their order, and take turns with others as one. */
  embed(job: number, line: number, model: NativeModel, texts: string[], options: NativeEmbedOptions): void
  rerank(job: number, line: number, model: NativeModel, pairs: NativePairs, options: NativeRerankOptions): void
  count(job: number, model: NativeModel, texts: string[]): void
  cancel(job: number): void
  dropRows(job: number, row: number, count: number): void
  hold(active: boolean): void
}

/** Called once for every job that ends and was not cancelled. */
export type Settle = (job: number, fault: Fault | null, outcome: Outcome) => void

/** The best rows, best first. */
export interface TopRows {
  indices: Uint32Array
  scores: Float32Array
}

/** All that the addon exports. */
export interface Binding {
  Engine: new (settle: Settle) => NativeEngine
  similarity(a: AnyVector, b: AnyVector): number
  /** Of vectors of one kind each. */
  topK(query: AnyVector, vectors: AnyVector, k: number): TopRows
  topKInt8(query: AnyVector, vectors: AnyVector, k: number): TopRows
  topKBinary(query: AnyVector, vectors: AnyVector, k: number): TopRows
  maxSim(query: Float32Array, document: Float32Array, dims: number): number
  kernels(): string[]
  /** JSON. */
  machine(): string
  /** JSON. */
  processors(): string
  /** Opens the driver and CUDA's libraries; why the binary with CUDA's kernels must not be loaded, or null. */
  openCudaLibraries(): string | null
  /** Notes why it is not the one in use. */
  leaveCudaAside(reason: string): void
  /** The version it was built as. */
  version(): string
  /** `memory`: bytes that this process may use. */
  joinModels(options: string, memory: number): string
  registerModel(name: string, about: string): string
  registeredModels(): string
  runningModels(): string
  modelsStats(): string
  terminateModel(uid: string): void
  withdrawLaunch(number: number): void
  stopModels(): number
  modelPresets(): string
}

let loaded: Binding | undefined

/** The addon, loaded at the first use; throws a ModelError with ERR_BINDING if there is none for this machine. */
export function binding(): Binding {
  loaded ??= load()
  return loaded
}

/** The file that the addon was loaded from, as far as Node tells. */
export function bindingFile(): string | undefined {
  if (namedFile !== undefined) return namedFile
  const files = Object.keys(require.cache ?? {}).filter((file) => /embed-native\.[^/\\]*\.node$/.test(file))
  return files.find((file) => /-cuda\.node$/.test(file) === isCuda)
}

/** The file that EMBED_NATIVE_BINDING named when it was loaded. */
let namedFile: string | undefined

/** Whether the binary in use is the one with CUDA's kernels. */
let isCuda = false

function load(): Binding {
  const named = process.env.EMBED_NATIVE_BINDING
  const found = named ? loadNamed(named) : loadInstalled()
  const version = typeof found.version === 'function' ? found.version() : 'an older one'
  if (version === manifest.version) return found
  const install = `npm install @x/embed-native@${manifest.version}`
  const remedy = named ? 'Correct or unset EMBED_NATIVE_BINDING.' : `Install both at one version with: ${install}`
  const file = bindingFile() ?? 'The native binary'
  const message = `${file} is of version ${version}, and this package of ${manifest.version}. ${remedy}`
  throw new ModelError('ERR_BINDING', message)
}

function loadInstalled(): Binding {
  const search = CANDIDATES[`${process.platform}-${process.arch}`]
  const errors: unknown[] = []
  const found = search?.((error) => errors.push(error))
  if (found) return withCuda(found as Binding)
  throw missing(errors.find((error) => Object(error).code !== 'MODULE_NOT_FOUND'))
}

/**
 * The binary with CUDA's kernels instead, if it is installed and what it needs is there; it holds everything else, too. The
 * engine behind the other is not begun. All threads of the process come to the same answer.
 */
function withCuda(base: Binding): Binding {
  const candidate = cudaCandidate()
  if (candidate === undefined || typeof base.version !== 'function' || base.version() !== manifest.version) return base
  const { search } = candidate
  if (search === undefined) {
    const remedy = '`npm run build:cuda` in a clone makes one that has (docs/accelerators.md)'
    base.leaveCudaAside(`this binary has no kernels for NVIDIA's GPUs: ${remedy}`)
    return base
  }
  const errors: unknown[] = []
  const against = base.openCudaLibraries()
  const found = against === null ? (search((error) => errors.push(error)) as Binding | undefined) : undefined
  if (found?.version() === manifest.version) {
    isCuda = true
    return found
  }
  const broken = errors.find((error) => Object(error).code !== 'MODULE_NOT_FOUND') ?? errors[0]
  const other = found && `it is of version ${found.version()}, and this package of ${manifest.version}`
  base.leaveCudaAside(`the binary with CUDA's kernels is left aside: ${against ?? other ?? reason(broken)}`)
  return base
}

/** Without `require`, so that bundlers leave it alone. */
function loadNamed(file: string): Binding {
  const module = { exports: {} }
  try {
    namedFile = absolute(file)
    process.dlopen(module, namedFile)
    return module.exports as Binding
  } catch (cause) {
    const message = `EMBED_NATIVE_BINDING names ${file}, which does not load: ${reason(cause)}. Correct or unset it.`
    throw new ModelError('ERR_BINDING', message, { cause })
  }
}

/** `broken` is a candidate that is there and does not load. */
function missing(broken: unknown): ModelError {
  const { platform, arch } = process
  const kind = libc()?.kind
  const machine = [platform, arch, libc()?.name].filter(Boolean).join(' ')
  if (!(`${platform}-${arch}` in CANDIDATES)) {
    const known = Object.keys(CANDIDATES).join(', ')
    return new ModelError('ERR_BINDING', `There is no native binary for ${machine}. There are for: ${known}`)
  }
  const found = broken ? `does not load: ${reason(broken)}` : 'is not installed'
  const flags = `--include=optional --os=${platform} --cpu=${arch}${kind ? ` --libc=${kind}` : ''}`
  const bundled = broken ? '' : ' A bundler must leave this package external.'
  const message = `The native binary for ${machine} ${found}. Install it with: npm install ${flags} @x/embed-native.${bundled}`
  return new ModelError('ERR_BINDING', message, { cause: broken })
}

function reason(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
}
