/**
 * One engine for one JavaScript environment (the main thread, or a worker): numbers the jobs, knows which are under way,
 * and keeps the process alive as long as there are any. What it is not: it does not know what a job is about.
 */
import { binding, type Fault, type NativeEngine, type NativeProgress, type Outcome } from './binding.js'
import { fromFault, fromThrown } from './errors.js'
import { Turns } from './turns.js'

/** Told once how a job ended, unless it was cancelled. */
export type Ended = (error: Error | null, outcome: Outcome) => void

/** Told how far a job is, as long as it goes on. */
export type Moved = (progress: NativeProgress) => void

interface Job {
  readonly ended: Ended
  readonly moved: Moved | undefined
}

const LAST_NUMBER = 0xffff_ffff

/** The engine and the jobs under way. */
export class Environment {
  readonly turns: Turns = new Turns()
  readonly #engine: NativeEngine
  readonly #jobs = new Map<number, Job>()
  #last = 0
  #lastLine = 0
  #held = false

  constructor() {
    const { Engine } = binding()
    this.#engine = new Engine((job, fault, outcome) => this.#settle(job, fault, outcome))
  }

  /** Starts a job: `send` hands it to the engine. Returns its number. */
  start(send: (engine: NativeEngine, job: number) => void, ended: Ended, moved?: Moved): number {
    this.#last = (this.#last % LAST_NUMBER) + 1
    const job = this.#last
    this.#jobs.set(job, { ended, moved })
    this.#hold()
    try {
      send(this.#engine, job)
    } catch (thrown) {
      queueMicrotask(() => this.#end(job, fromThrown(thrown), null))
    }
    return job
  }

  /** The number of a new line: jobs of one begin in their order, and take turns with others as one. */
  newLine(): number {
    this.#lastLine = (this.#lastLine % LAST_NUMBER) + 1
    return this.#lastLine
  }

  /** Drops a job: nobody is told how it ended. Returns whether it was still under way. */
  cancel(job: number): boolean {
    if (!this.#jobs.delete(job)) return false
    this.#engine.cancel(job)
    this.#hold()
    return true
  }

  /** Drops `count` rows of a job, from `row` on: what has not begun of them is not computed. The job ends all the same. */
  dropRows(job: number, row: number, count: number): void {
    if (this.#jobs.has(job)) this.#engine.dropRows(job, row, count)
  }

  #settle(job: number, fault: Fault | null, outcome: Outcome): void {
    const found = this.#jobs.get(job)
    if (isProgress(outcome)) found?.moved?.(outcome)
    else if (found) this.#end(job, fault ? fromFault(fault) : null, outcome)
    else if (outcome && typeof outcome === 'object' && 'dispose' in outcome) outcome.dispose()
  }

  #end(job: number, error: Error | null, outcome: Outcome): void {
    const found = this.#jobs.get(job)
    this.#jobs.delete(job)
    found?.ended(error, outcome)
    this.#hold()
  }

  #hold(): void {
    const active = this.#jobs.size > 0
    if (active === this.#held) return
    this.#held = active
    this.#engine.hold(active)
  }
}

function isProgress(outcome: Outcome): outcome is NativeProgress {
  return typeof outcome === 'object' && outcome !== null && 'received' in outcome
}

let current: Environment | undefined

/** This thread's environment, made at the first use. */
export function environment(): Environment {
  try {
    current ??= new Environment()
    return current
  } catch (thrown) {
    throw fromThrown(thrown)
  }
}
