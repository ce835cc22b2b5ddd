/**
 * Many models in one process: names for what can be loaded, uids for what runs, one memory budget. All of it belongs to the
 * process and lives in the engine; a `Models` here, or in a worker thread, is a way to it and holds nothing.
 */
import { type Binding, binding, type NativeEngine } from './binding.js'
import { Classifier, classifierOf } from './classifier.js'
import { describe } from './describe.js'
import { Embedder, embedderOf } from './embedder.js'
import { argumentError, fromThrown, ModelError } from './errors.js'
import { type Handle, opened } from './handle.js'
import { located } from './location.js'
import { memory } from './machine.js'
import { HybridEmbedder, hybridEmbedderOf } from './hybrid.js'
import { onnxRuntimeLibrary } from './onnxruntime.js'
import { MultiVectorEmbedder, multiVectorEmbedderOf } from './multi-vector.js'
import { type Checks, device, flag, readOptions, signal, word } from './options.js'
import { Reranker, rerankerOf } from './reranker.js'
import { SparseEmbedder, sparseEmbedderOf } from './sparse.js'
import type {
  LaunchOptions,
  ModelsOptions,
  ModelsSettings,
  ModelsStats,
  Registered,
  Registration,
  RunningModel,
  Task,
} from './models-types.js'

/** What runs under a uid. */
type Kind = Embedder | Reranker | Classifier | SparseEmbedder | MultiVectorEmbedder | HybridEmbedder

const classes: readonly { readonly prototype: Kind; readonly name: string }[] = [
  Embedder,
  Reranker,
  Classifier,
  SparseEmbedder,
  MultiVectorEmbedder,
  HybridEmbedder,
]

const kinds: Readonly<Record<Task, (handle: Handle) => Kind>> = {
  embed: embedderOf,
  rerank: rerankerOf,
  classify: classifierOf,
  sparse: sparseEmbedderOf,
  late: multiVectorEmbedderOf,
  hybrid: hybridEmbedderOf,
}

const launchChecks: Checks<LaunchOptions> = { uid: word, device, restart: flag, signal }

/**
 * The models of this process: register folders under names, launch them under uids, and open them by uid from any thread. The
 * first `new Models` decides the settings, without options on the defaults; later ones, also in worker threads, join with the
 * same or with none.
 *
 * ```ts
 * const models = new Models({ memoryBudget: 2e9, idleTimeout: 600_000 })
 * models.register('search', { folder: './all-MiniLM-L6-v2' })
 * await models.launch('search')
 * const embedder = await models.get('search', Embedder)
 * ```
 */
export class Models {
  /** The settings that hold. */
  readonly settings: ModelsSettings

  /**
   * Takes part. All of it is done, registrations of `config` included, or nothing.
   *
   * @throws ERR_INVALID_ARGUMENT for options, ERR_SETTINGS for the file or settings other than those that hold, ERR_DUPLICATE for
   *   a name in the file that is taken, ERR_BINDING
   */
  constructor(options: ModelsOptions = {}) {
    const json = toJson('Models', options)
    this.settings = parse(ask((engine) => engine.joinModels(json, memory())))
  }

  /**
   * Gives a model a name. Nothing is read. The same registration twice is one.
   *
   * @param name 1 to 64 letters, digits, `.`, `_` and `-`, a letter or digit first.
   * @throws ERR_INVALID_ARGUMENT, ERR_DUPLICATE for a name that is reserved or taken
   */
  register(name: string, registration: Registration): Registered {
    word('register: name', name)
    const { folder, adapter } = Object(registration) as Partial<Registration>
    const json = toJson('register', {
      ...registration,
      ...(typeof folder === 'string' && { folder: located(folder) }),
      ...(typeof adapter === 'string' && { adapter: located(adapter) }),
    })
    return parse(ask((engine) => engine.registerModel(name, json)))
  }

  /** What is registered, by name. */
  registrations(): Registered[] {
    return parse(ask((engine) => engine.registeredModels()))
  }

  /**
   * Loads a registered model, to run for the whole process until it is terminated or idle. What it needs is checked against its
   * share of the budget before its weights are read. If it fails, nothing of it stays.
   *
   * @throws ERR_UNKNOWN_MODEL, ERR_DUPLICATE, ERR_BUDGET, ERR_DEADLINE, and as `Embedder.load`
   */
  async launch(name: string, options?: LaunchOptions): Promise<RunningModel> {
    word('launch: name', name)
    const { signal, ...rest } = readOptions<LaunchOptions>('launch', options, launchChecks)
    const onnx = this.registrations().some((model) => model.name === name && model.backend === 'onnx')
    const onnxLibrary = onnx ? onnxRuntimeLibrary() : undefined
    const json = toJson('launch', { name, ...rest, onnxLibrary })
    const handle = await this.#launched(json, signal)
    // The registry holds the model now, and describes it.
    handle.dispose()
    const uid = rest.uid ?? name
    const running = this.list().find((model) => model.uid === uid)
    if (!running) throw new ModelError('ERR_DISPOSED', `"${uid}" was terminated as soon as it was ready.`)
    return running
  }

  /** What runs, by uid. */
  list(): RunningModel[] {
    return parse(ask((engine) => engine.runningModels()))
  }

  /**
   * Opens a running model: at once, after its launch, or after loading it again if it was idle. The handle keeps the model alive,
   * whatever happens to its uid, and its memory counts until it is disposed: take one a task, or keep one and forgo unloading.
   *
   * @param Class What it must be: `Embedder`, `Reranker`, `Classifier`, `SparseEmbedder`, `MultiVectorEmbedder` or
   *   `HybridEmbedder`.
   * @throws ERR_UNKNOWN_MODEL, ERR_INVALID_ARGUMENT if it is of another class; for an idle one as `launch`
   */
  async get(uid: string): Promise<Kind>
  async get<Wanted extends Kind>(uid: string, Class: { readonly prototype: Wanted }): Promise<Wanted>
  async get(uid: string, Class?: { readonly prototype: Kind }): Promise<Kind> {
    word('get: uid', uid)
    if (Class !== undefined && !classes.some((known) => known === Class)) {
      const names = classes.map(({ name }) => name).join(', ')
      throw argumentError(`get: expected one of the classes ${names}, got ${describe(Class)}`)
    }
    const handle = await this.#opened((engine, job) => engine.openRunning(job, uid))
    const model = kinds[handle.native.task()](handle)
    if (Class === undefined || model.constructor === Class) return model
    model.dispose()
    throw argumentError(`get: "${uid}" is of class ${model.constructor.name}, not ${Class.prototype.constructor.name}`)
  }

  /**
   * Frees the uid and lets the model go. Handles of it stay good; a launch under way rejects with ERR_DISPOSED.
   *
   * @throws ERR_UNKNOWN_MODEL
   */
  terminate(uid: string): void {
    word('terminate: uid', uid)
    ask((engine) => engine.terminateModel(uid))
  }

  /** What all models of the process come to. */
  stats(): ModelsStats {
    return parse(ask((engine) => engine.modelsStats()))
  }

  /** Terminates all running models and gives their number; registrations and settings stay. */
  stopAll(): number {
    return ask((engine) => engine.stopModels())
  }

  /** The presets there are, each with all its settings. */
  presets(): ModelsSettings[] {
    return parse(ask((engine) => engine.modelPresets()))
  }

  /** Whoever gives up waiting takes the launch back, also one that has just ended well. */
  async #launched(json: string, signal?: AbortSignal): Promise<Handle> {
    let number = 0
    const send = (engine: NativeEngine, job: number): void => {
      number = engine.launch(job, json)
    }
    try {
      return await this.#opened(send, signal)
    } catch (error) {
      ask((engine) => engine.withdrawLaunch(number))
      throw error
    }
  }

  #opened(send: Parameters<typeof opened>[0], signal?: AbortSignal): Promise<Handle> {
    return opened(send, { signal, loadTimeout: this.settings.loadTimeout })
  }
}

function ask<Answer>(call: (engine: Binding) => Answer): Answer {
  try {
    return call(binding())
  } catch (thrown) {
    throw fromThrown(thrown)
  }
}

function parse<Content>(json: string): Content {
  return JSON.parse(json) as Content
}

/** Settings that take null. */
const LIMITS: ReadonlySet<string> = new Set(['memoryBudget', 'idleTimeout', 'loadTimeout'])

/** Settings for the engine, which checks them, as it does those of files. What JSON cannot say is said in words. */
function toJson(method: string, value: unknown): string {
  const plain = (name: string, part: unknown): unknown => {
    const isOdd = typeof part === 'number' && !Number.isFinite(part)
    if (isOdd && LIMITS.has(name)) {
      const expected = `${name} must be a whole number, or null for no limit`
      throw argumentError(`${method}: ${expected}, got ${describe(part)}`, RangeError)
    }
    return isOdd || ['bigint', 'function', 'symbol'].includes(typeof part) ? describe(part) : part
  }
  try {
    return JSON.stringify(value, plain) ?? 'null'
  } catch (cause) {
    if (Object(cause).code === 'ERR_INVALID_ARGUMENT') throw cause
    throw argumentError(`${method}: options must be plain values, got ${describe(value)}: ${String(cause)}`)
  }
}
