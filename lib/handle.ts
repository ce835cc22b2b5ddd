/** A loaded model as long as somebody needs it: freed when it is disposed of and the last call on it has ended. */
import type { NativeEngine, NativeLoadOptions, NativeModel, Outcome } from './binding.js'
import { withHelp } from './catalogue.js'
import { environment } from './environment.js'
import { ModelError } from './errors.js'
import { onAbort, throwIfAborted } from './abort.js'
import { absolute, located } from './location.js'
import { onnxRuntimeLibrary } from './onnxruntime.js'
import { nextTurn } from './turns.js'
import type { Task } from './models-types.js'
import type { CallEvent, LoadOptions, LoadProgress, ModelInfo, Stats } from './types.js'

let handles = 0

/** A share of a loaded model. */
export class Handle {
  /** Tells handles apart in this thread. */
  readonly id: number = ++handles
  readonly native: NativeModel
  readonly info: ModelInfo
  /** The most texts of calls under way. */
  readonly maxQueue: number
  readonly #sum = {
    calls: 0,
    failed: 0,
    texts: 0,
    tokens: 0,
    timing: { total: 0, queue: 0, tokenization: 0, inference: 0 },
  }
  #calls = 0
  #texts = 0
  readonly #waiting: (() => void)[] = []
  #disposed = false
  #free: () => void = () => {}
  readonly #freed: Promise<void>

  /** `model` is what was asked for, where the engine was given something else. */
  constructor(native: NativeModel, maxQueue: number = Infinity, model?: string) {
    this.native = native
    this.maxQueue = maxQueue
    this.info = readInfo(native, model)
    if (this.info.deviceWarning !== undefined) warn(this.info.deviceWarning)
    this.#freed = new Promise((resolve) => {
      this.#free = resolve
    })
  }

  /** Whether `dispose` was called. */
  get disposed(): boolean {
    return this.#disposed
  }

  /** A call of so many texts begins; throws ERR_DISPOSED or ERR_OVERLOADED. Each `enter` needs one `leave`. */
  enter(texts: number): void {
    if (this.#disposed) {
      throw new ModelError('ERR_DISPOSED', `${this.info.model} was disposed of. Load it again to go on.`)
    }
    if (!this.hasRoom(texts)) throw this.#overloaded(texts)
    this.#calls++
    this.#texts += texts
  }

  /** A call of so many texts ended. */
  leave(texts: number): void {
    this.#calls--
    this.#texts -= texts
    for (const wake of this.#waiting.splice(0)) wake()
    this.#release()
  }

  /** Whether a call of so many texts would be admitted. */
  hasRoom(texts: number): boolean {
    return this.#texts + texts <= this.maxQueue
  }

  /** Resolves when a call has ended. */
  roomier(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Counts a call of so many texts that ended. */
  note(texts: number, { tokens, timing, error }: Pick<CallEvent, 'tokens' | 'timing' | 'error'>): void {
    const sum = this.#sum
    if (error !== undefined) sum.failed++
    else {
      sum.calls++
      sum.texts += texts
      sum.tokens += tokens
      sum.timing.total += timing.total
      sum.timing.queue += timing.queue
      sum.timing.tokenization += timing.tokenization
      sum.timing.inference += timing.inference
    }
  }

  /** What calls came to so far. */
  stats(): Stats {
    return { ...this.#sum, timing: { ...this.#sum.timing }, waiting: this.#texts }
  }

  #overloaded(texts: number): ModelError {
    const problem =
      texts > this.maxQueue
        ? `a call of ${texts} texts exceeds maxQueue ${this.maxQueue} by itself. Split it, or load with a larger maxQueue.`
        : `${this.#texts} texts are waiting or under way, and ${texts} more would exceed maxQueue ${this.maxQueue}. ` +
          'Try again later, or load with a larger maxQueue.'
    return new ModelError('ERR_OVERLOADED', `${this.info.model}: ${problem}`)
  }

  /** No call may begin any more. Resolves when those under way have ended and the model is freed. */
  dispose(): Promise<void> {
    this.#disposed = true
    this.#release()
    return this.#freed
  }

  #release(): void {
    if (!this.#disposed || this.#calls > 0) return
    this.native.dispose()
    this.#free()
  }
}

let warned = false

/** Once a thread: models come and go, and the GPU stays what it is. */
function warn(message: string): void {
  if (!warned) process.emitWarning(`${message}. Models run on the CPU.`, { code: 'EMBED_NATIVE_DEVICE' })
  warned = true
}

function readInfo(native: NativeModel, model?: string): ModelInfo {
  const own = JSON.parse(native.info()) as ModelInfo
  const info: ModelInfo = { ...own, model: model ?? own.model }
  Object.freeze(info.prompts)
  Object.freeze(info.labels)
  return Object.freeze(info)
}

/** Opens a model, from its folder or by its name. */
export async function load(task: Task, model: string, options: LoadOptions): Promise<Handle> {
  const { signal, maxQueue, onProgress, ...rest } = options
  const native = nativeOptions(rest)
  const place = located(model)
  try {
    return await opened((engine, job) => engine.load(job, task, place, native), { signal, maxQueue, onProgress, model })
  } catch (error) {
    throw withHelp(error, model, rest.adapter)
  }
}

/** How long somebody waits for a model, and what for. */
interface Waiting {
  /** What was asked for, for `info`. */
  model?: string
  signal?: AbortSignal
  maxQueue?: number
  onProgress?: (progress: LoadProgress) => void
  /** Milliseconds. */
  loadTimeout?: number | null
}

/** A handle of what the engine opens. */
export async function opened(send: Send, waiting: Waiting): Promise<Handle> {
  return new Handle((await outcomeOf(send, waiting)) as NativeModel, waiting.maxQueue, waiting.model)
}

/** Hands a job to the engine. */
type Send = (engine: NativeEngine, job: number) => void

/** What a job ends with. Nobody waits longer than the signal and the time allow. */
export function outcomeOf(send: Send, { signal, onProgress, loadTimeout }: Waiting): Promise<Outcome> {
  throwIfAborted(signal)
  const jobs = environment()
  return new Promise((resolve, reject) => {
    let job = 0
    const giveUp = (reason: unknown): void => {
      end()
      jobs.cancel(job)
      reject(reason)
    }
    // Before the job: a signal of another make may throw here.
    const release = signal && onAbort(signal, giveUp)
    const timer = loadTimeout ? setTimeout(() => giveUp(tooLate(loadTimeout)), loadTimeout) : undefined
    const end = (): void => {
      release?.()
      clearTimeout(timer)
    }
    job = jobs.start(
      send,
      (error, outcome) => {
        end()
        if (error) reject(error)
        else resolve(outcome)
      },
      onProgress && ((progress) => report(onProgress, progress, giveUp)),
    )
  })
}

function tooLate(loadTimeout: number): ModelError {
  const message = `The model was not ready within loadTimeout, ${loadTimeout} ms. Allow more, or warm up less.`
  return new ModelError('ERR_DEADLINE', message)
}

/** What a listener of the user throws ends the call. */
function report(
  listener: (progress: LoadProgress) => void,
  progress: LoadProgress,
  stop: (reason: unknown) => void,
): void {
  try {
    listener(progress)
  } catch (thrown) {
    stop(thrown)
  }
}

/** Options in the engine's words. */
export function nativeOptions(options: LoadOptions): NativeLoadOptions {
  const { device, providers, revision, cacheDir, offline, token, endpoint, source, ...rest } = options
  const place = cacheDir && absolute(cacheDir)
  const native: NativeLoadOptions = { ...rest, hub: { revision, cacheDir: place, offline, token, endpoint, source } }
  if (native.adapter !== undefined) native.adapter = located(native.adapter)
  if (providers !== undefined) native.providers = [...providers]
  if (device !== undefined) native.device = typeof device === 'string' ? device : device.join(',')
  const library = options.backend === 'onnx' ? onnxRuntimeLibrary() : undefined
  if (library !== undefined) native.onnxLibrary = library
  return native
}

/** Gives a class `using` and `await using`. Node 20 before 20.4 has neither symbol, and then no `using` either. */
export function defineDisposal<Model extends { dispose(): void }>(
  Class: { readonly prototype: Model },
  settle: (model: Model) => Promise<void>,
): void {
  const define = (symbol: symbol | undefined, value: (this: Model) => unknown): void => {
    if (symbol) Object.defineProperty(Class.prototype, symbol, { value, configurable: true, writable: true })
  }
  define(Symbol.dispose, function () {
    this.dispose()
  })
  define(Symbol.asyncDispose, async function () {
    await settle(this)
    // The promises of the last calls settle before this one does.
    await nextTurn()
  })
}
