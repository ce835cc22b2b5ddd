/**
 * One call of the user: its texts, and its promise. Rows come in as jobs end, in any order; the call ends when all are
 * there, or at its first fault, or when its signal fires. What it is not: it does not know how its texts travel.
 */
import { onAbort } from './abort.js'
import { fromAllocation, ModelError } from './errors.js'
import type { Progress } from './types.js'

/** Gathers the rows of one call. `Batch` is what a job gives. */
export interface Sink<Batch, Result> {
  /** Takes `count` rows of `batch`, from its row `start` on: they are the call's rows from `at` on. */
  take(batch: Batch, start: number, at: number, count: number): void
  /** All rows are there. */
  finish(): Result
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

/** Told once how a call ended. */
export interface Watcher<Result> {
  succeeded(result: Result): void
  failed(reason: unknown): void
}

/** A call under way. */
export class Call<Batch, Result> {
  readonly texts: readonly string[]
  readonly promise: Promise<Result>
  readonly offset: number
  /** Told when the call ends before its time; set by whoever has texts of it on the way. */
  carrier: { dropped(call: object): void } | undefined
  readonly #sink: Sink<Batch, Result>
  readonly #watcher: Watcher<Result>
  readonly #onProgress: CallOptions['onProgress']
  readonly #release: (() => void) | undefined
  #resolve!: (result: unknown) => void
  #reject!: (reason: unknown) => void
  #done = 0
  #ended = false
  #timer: NodeJS.Timeout | undefined

  constructor(
    texts: readonly string[],
    sink: Sink<Batch, Result>,
    { signal, onProgress, offset = 0, deadline }: CallOptions,
    watcher: Watcher<Result>,
  ) {
    this.texts = texts
    this.offset = offset
    this.#sink = sink
    this.#watcher = watcher
    this.#onProgress = onProgress
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve as (result: unknown) => void
      this.#reject = reject
    })
    this.#release = signal && onAbort(signal, (reason) => this.fail(reason))
    if (deadline !== undefined) this.#timer = setTimeout(() => this.#tooLate(deadline), deadline)
  }

  /** Whether the promise is settled: nothing more is needed for this call. */
  get ended(): boolean {
    return this.#ended
  }

  /** Rows of this call arrived; the arguments are those of `Sink.take`. */
  take(batch: Batch, start: number, at: number, count: number): void {
    if (this.#ended) return
    try {
      this.#sink.take(batch, start, at, count)
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
    this.#watcher.failed(reason)
    this.carrier?.dropped(this)
  }

  #advance(count: number): void {
    this.#done += count
    this.#report()
    if (this.#done === this.texts.length && !this.#ended) this.#succeed()
  }

  #report(): void {
    try {
      this.#onProgress?.({ done: this.#done, total: this.texts.length })
    } catch (thrown) {
      this.fail(thrown)
    }
  }

  #succeed(): void {
    const result = this.#sink.finish()
    this.#end()
    this.#resolve(result)
    this.#watcher.succeeded(result)
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
}
