/**
 * One call of the user, from its admission to its end: its texts, and its promise. Rows come in as jobs end, in any order; the
 * call ends when all are there, or at its first fault, or when its signal fires. What it is not: it does not know how its texts
 * travel.
 */
import { NOT_WANTED, onAbort, throwIfAborted } from './abort.js'
import type { Errand } from './batch.js'
import { isObserved, onlyTotal, report } from './diagnostics.js'
import { fromAllocation, ModelError } from './errors.js'
import type { Handle } from './handle.js'
import type { CallEvent, Progress, WithUsage } from './types.js'

/** Gathers the rows of one call. `Batch` is what a job gives. */
export interface Sink<Batch, Result> {
  /** Takes `count` rows of `batch`, from its row `start` on: they are the call's rows from `at` on. */
  take(batch: Batch, start: number, at: number, count: number): void
  /** All rows are there, `total` milliseconds after the call began. */
  finish(total: number): Result
}

/** What a call brings along besides texts. */
export interface CallOptions {
  signal?: AbortSignal
  onProgress?: (progress: Progress) => void
  /** The place of the first text in what the user gave, for messages. */
  offset?: number
  /** Milliseconds that the call may take. */
  deadline?: number
}

/** What a call asks of its model. */
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

type Cost = Pick<CallEvent, 'tokens' | 'timing' | 'error'>
type Settle = (value: unknown) => void

/** There may be many thousands at once, so it is made of little. */
export class Call<Batch, Result> {
  readonly promise: Promise<Result>
  /** Told when the call ends before its time; set by whoever has texts of it on the way. */
  carrier: { dropped(call: object): void } | undefined
  readonly #request: Request<Batch, Result>
  readonly #start = performance.now()
  #resolve!: Settle
  #reject!: Settle
  #done = 0
  #admitted = false
  #ended = false
  #release: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(request: Request<Batch, Result>) {
    this.#request = request
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve as Settle
      this.#reject = reject
    })
  }

  /** Strings, once they are checked. */
  get texts(): readonly string[] {
    return this.#request.texts as string[]
  }

  /** The place of its first text in what the user gave. */
  get offset(): number {
    return this.#request.options.offset ?? 0
  }

  /** Whether the promise is settled: nothing more is needed for this call. */
  get ended(): boolean {
    return this.#ended
  }

  /** Takes its place at the model, which it keeps alive until it ends. */
  enter(): void {
    this.#request.handle.enter(this.texts.length)
    this.#admitted = true
  }

  /** Its texts are good: from now on its signal and its deadline count. Without texts it ends here. */
  begin(): void {
    const { signal, deadline } = this.#request.options
    throwIfAborted(signal)
    if (signal) this.#release = onAbort(signal, (reason) => this.fail(reason))
    if (deadline !== undefined) this.#timer = setTimeout(() => this.#tooLate(deadline), deadline)
    if (this.texts.length === 0) this.#succeed()
  }

  /** Rows of this call arrived; the arguments are those of `Sink.take`. */
  take(batch: Batch, start: number, at: number, count: number): void {
    if (this.#ended) return
    try {
      this.#request.sink.take(batch, start, at, count)
      this.#advance(count)
    } catch (thrown) {
      this.fail(fromAllocation(thrown, this.texts.length))
    }
  }

  /** Rejects, if the call has not ended. */
  fail(reason: unknown): void {
    if (this.#ended) return
    this.#end()
    this.#reject(reason)
    this.#leave()
    if (reason !== NOT_WANTED) this.#note({ tokens: 0, timing: onlyTotal(this.#elapsed()), error: reason })
    this.carrier?.dropped(this)
  }

  #advance(count: number): void {
    this.#done += count
    this.#report()
    if (this.#done === this.texts.length && !this.#ended) this.#succeed()
  }

  #report(): void {
    try {
      this.#request.options.onProgress?.({ done: this.#done, total: this.texts.length })
    } catch (thrown) {
      this.fail(thrown)
    }
  }

  #succeed(): void {
    const result = this.#request.sink.finish(this.#elapsed())
    this.#end()
    this.#resolve(result)
    this.#leave()
    this.#note(costOf(result) ?? { tokens: 0, timing: onlyTotal(this.#elapsed()) })
  }

  #tooLate(deadline: number): void {
    const done = `${this.#done} of ${this.texts.length} texts were done`
    const message = `The deadline of ${deadline} ms has passed; ${done}. Allow more, or ask for less.`
    this.fail(new ModelError('ERR_DEADLINE', message))
  }

  #end(): void {
    this.#ended = true
    this.#release?.()
    clearTimeout(this.#timer)
  }

  #leave(): void {
    if (this.#admitted) this.#request.handle.leave(this.texts.length)
  }

  #note(cost: Cost): void {
    const { handle, method, texts } = this.#request
    handle.note(texts.length, cost)
    if (isObserved()) report({ method, model: handle.info.model, texts: texts.length, ...cost })
  }

  #elapsed(): number {
    return performance.now() - this.#start
  }
}

/** What a result says about itself; counts say nothing. */
function costOf(result: unknown): Cost | undefined {
  const { usage, timing } = Object(result) as Partial<WithUsage<unknown>>
  return usage && timing && { tokens: usage.tokens, timing }
}
