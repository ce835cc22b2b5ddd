/** What all methods share, between the face and the batches: open a model, make a call, wait for it. */
import { NOT_WANTED, throwIfAborted } from './abort.js'
import { type Errand, submit } from './batch.js'
import { Call, type CallOptions, type Sink, type Watcher } from './call.js'
import { describe } from './describe.js'
import { isObserved, onlyTotal, report } from './diagnostics.js'
import type { NativeEmbedOptions } from './binding.js'
import { argumentError, ModelError } from './errors.js'
import { type Handle, load } from './handle.js'
import type { Task } from './models-types.js'
import {
  callback,
  type Checks,
  device,
  flag,
  oneOf,
  readOptions,
  secret,
  signal,
  someOf,
  wholeNumber,
  word,
} from './options.js'
import { CHECKED_PER_TURN, checkTexts, MAX_TEXTS } from './texts.js'
import type { CacheOptions, CallEvent, HubOptions, LoadOptions, RequestOptions, Timing, WithUsage } from './types.js'

/** Where the cache is. */
export const cacheChecks: Checks<CacheOptions> = {
  cacheDir: word,
  source: oneOf(['huggingface', 'modelscope']),
}

/** Where a model comes from. */
export const hubChecks: Checks<HubOptions> = {
  ...cacheChecks,
  revision: word,
  offline: flag,
  token: secret,
  endpoint: word,
}

/** How a model is loaded. */
export const loadChecks: Checks<LoadOptions> = {
  ...hubChecks,
  backend: oneOf(['native', 'candle', 'onnx']),
  device,
  dtype: oneOf(['auto', 'f32', 'bf16', 'f16', 'int8']),
  providers: someOf(['cuda', 'tensorrt', 'coreml', 'directml', 'openvino', 'cpu']),
  threads: wholeNumber(1, 1024),
  maxLength: wholeNumber(1, 2 ** 31 - 1),
  maxBatch: wholeNumber(1, MAX_TEXTS),
  pooling: oneOf(['mean', 'cls', 'max', 'lasttoken', 'mean_sqrt_len_tokens', 'weightedmean']),
  adapter: word,
  onnxFile: word,
  maxQueue: wholeNumber(1, MAX_TEXTS),
  onProgress: callback,
  signal,
}

/** Opens a model; `method` is the name that messages give. */
export async function open(task: Task, method: string, model: unknown, options: unknown): Promise<Handle> {
  if (typeof model !== 'string' || model === '') {
    throw argumentError(`${method}: expected a model's folder or name, got ${describe(model)}`)
  }
  return load(task, model, readOptions(method, options, loadChecks))
}

/** What calls that compute share. */
export const requestChecks: Checks<RequestOptions> = {
  truncationSide: oneOf(['right', 'left']),
  priority: oneOf(['interactive', 'background']),
  deadline: wholeNumber(1, 2 ** 31 - 1),
  signal,
}

/** A call on its way to its model. */
export interface Request<Batch, Result> {
  readonly handle: Handle
  /** The name that messages give. */
  readonly method: string
  /** A copy of the user's, which this call owns. */
  readonly texts: unknown[]
  readonly sink: Sink<Batch, Result>
  readonly options: CallOptions
  readonly errand: Errand
  /** Waits for room below `maxQueue`, instead of being refused. */
  readonly patient?: boolean
}

/**
 * Keeps the model alive until the call ends. Few texts are on their way before this returns, so that they join the other
 * calls of this turn.
 */
export function run<Batch, Result>(request: Request<Batch, Result>): Promise<Result> {
  const visit = new Visit(request)
  return request.patient || request.texts.length > CHECKED_PER_TURN ? visit.beginInTurns() : visit.begin()
}

type Cost = Pick<CallEvent, 'tokens' | 'timing' | 'error'>

/** A call at its model, from its admission to its end. There may be many thousands at once, so it is made of little. */
class Visit<Batch, Result> implements Watcher<Result> {
  readonly #request: Request<Batch, Result>
  readonly #start = performance.now()
  #admitted = false

  constructor(request: Request<Batch, Result>) {
    this.#request = request
  }

  /** For few texts: those are checked at once. */
  begin(): Promise<Result> {
    try {
      this.#enter()
      checkTexts(this.#request.method, this.#request.texts)
      return this.#send()
    } catch (error) {
      this.failed(error)
      return Promise.reject(error)
    }
  }

  /** For those who wait for room, and for many texts. */
  async beginInTurns(): Promise<Result> {
    const { handle, method, texts, patient } = this.#request
    try {
      while (patient && !handle.hasRoom(texts.length)) await handle.roomier()
      this.#enter()
      await checkTexts(method, texts)
      return this.#send()
    } catch (error) {
      this.failed(error)
      throw error
    }
  }

  succeeded(result: Result): void {
    this.#leave()
    this.#note(costOf(result) ?? { tokens: 0, timing: this.#onlyTotal() })
  }

  failed(error: unknown): void {
    this.#leave()
    if (error !== NOT_WANTED) this.#note({ tokens: 0, timing: this.#onlyTotal(), error })
  }

  #enter(): void {
    this.#request.handle.enter(this.#request.texts.length)
    this.#admitted = true
  }

  #send(): Promise<Result> {
    const { texts, sink, options, errand } = this.#request
    throwIfAborted(options.signal)
    if (texts.length === 0) return this.#nothing()
    const call = new Call(texts as string[], sink, options, this)
    submit(call, errand)
    return call.promise
  }

  async #nothing(): Promise<Result> {
    const result = this.#request.sink.finish()
    this.succeeded(result)
    return result
  }

  #leave(): void {
    if (this.#admitted) this.#request.handle.leave(this.#request.texts.length)
    this.#admitted = false
  }

  #note(cost: Cost): void {
    const { handle, method, texts } = this.#request
    handle.note(texts.length, cost)
    if (isObserved()) report({ method, model: handle.info.model, texts: texts.length, ...cost })
  }

  #onlyTotal(): Timing {
    return onlyTotal(performance.now() - this.#start)
  }
}

/** What a result says about itself; counts say nothing. */
function costOf(result: unknown): Cost | undefined {
  const { usage, timing } = Object(result) as Partial<WithUsage<unknown>>
  return usage && timing && { tokens: usage.tokens, timing }
}

/** The errand of running texts through a model with these options. */
export function errandOf(handle: Handle, native: NativeEmbedOptions): Errand {
  return {
    key: `embed ${handle.id} ${JSON.stringify(native)}`,
    send: (engine, job, part) => engine.embed(job, handle.native, part, native),
  }
}

/** What stands before texts: the prompt that was asked for, else the model's own for a purpose. */
export function promptOf(
  handle: Handle,
  asked: string | { readonly text: string } | undefined,
  purpose: string | undefined,
): NativeEmbedOptions {
  if (asked === undefined) return { purpose }
  if (typeof asked !== 'string') return { promptText: asked.text, purpose }
  checkPromptName(handle, asked)
  return { prompt: asked, purpose }
}

function checkPromptName({ info }: Handle, name: string): void {
  if (Object.hasOwn(info.prompts, name)) return
  const known = Object.keys(info.prompts)
  const has = known.length > 0 ? `It has: ${known.join(', ')}.` : 'It has none.'
  throw new ModelError('ERR_PROMPT', `${info.model} has no prompt named "${name}". ${has} Use { text } for your own.`)
}
