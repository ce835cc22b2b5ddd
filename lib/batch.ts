/**
 * Batching of promises. Calls of one turn of the event loop that ask for the same thing join into one stream of jobs; a
 * call that is larger than a job is a stream of its own. A stream cuts its texts into jobs and keeps a few of them in the
 * engine: enough to keep it busy, few enough to bound memory and to let other streams in between.
 *
 *     call ─┐
 *     call ─┼─ Stream ── Shipment (a job: up to 128 texts, a part for each call in it) ── engine
 *     call ─┘
 */
import type { NativeEngine, Outcome, Rows } from './binding.js'
import type { Call } from './call.js'
import { type Environment, environment } from './environment.js'
import { fromFault } from './errors.js'

/** The most texts of one job. */
export const JOB_TEXTS: number = 128

/** The most UTF-16 units of one job; a longer text travels alone. */
export const JOB_UNITS: number = 256 * 1024

/** Jobs that one stream has in the engine at a time. */
const JOBS_IN_FLIGHT = 4

/** What a job gives, and so what its calls take: vectors, or counts. */
export type Batch = Rows | Uint32Array

// biome-ignore lint/suspicious/noExplicitAny: a stream carries calls of any result
type AnyCall = Call<any, unknown>

/** What a stream asks of the engine, the same for all its texts. */
export interface Errand {
  /** Equal keys are equal errands: their calls may share a job. */
  readonly key: string
  readonly send: (engine: NativeEngine, job: number, texts: string[], line: number) => void
  /** The line of its jobs, where several streams share one. */
  readonly line?: number
}

/** The same for calls that follow one another: what was asked first is done first. */
export function inLine(errand: Errand): Errand {
  const line = environment().newLine()
  return { ...errand, key: `${errand.key} ${line}`, line }
}

/** The streams that take calls in until this turn's microtasks run. */
const open = new Map<string, Stream>()

/** Starts a call. It leaves with the others of this turn. */
export function submit(call: AnyCall, errand: Errand): void {
  if (fitsOneJob(call.texts)) join(call, errand)
  else travelAlone(call, errand)
}

function travelAlone(call: AnyCall, errand: Errand): void {
  const stream = new Stream(errand)
  stream.add(call)
  queueMicrotask(() => stream.pump())
}

function join(call: AnyCall, errand: Errand): void {
  let stream = open.get(errand.key)
  if (!stream) {
    stream = new Stream(errand)
    open.set(errand.key, stream)
    queueMicrotask(() => {
      open.get(errand.key)!.pump()
      open.delete(errand.key)
    })
  }
  stream.add(call)
}

function fitsOneJob(texts: readonly string[]): boolean {
  return texts.length <= JOB_TEXTS && jobEnd(texts, 0, 0, 0) === texts.length
}

/** How far a job that holds `count` texts of `units` can be filled from `texts`, beginning at `from`. */
function jobEnd(texts: readonly string[], from: number, count: number, units: number): number {
  let end = from
  for (; end < texts.length && count < JOB_TEXTS; end++, count++) {
    units += texts[end]!.length
    if (units > JOB_UNITS && count > 0) break
  }
  return end
}

/** The rows of a job that belong to one call: rows `start` … of the job are rows `at` … of the call. */
interface Part {
  readonly call: AnyCall
  readonly start: number
  readonly at: number
  readonly count: number
}

/** A job on its way. */
class Shipment {
  readonly parts: Part[] = []
  readonly texts: string[] = []
  job = 0
  #units = 0

  /** Loads texts of the call from `at` on, as far as there is room; returns how far that was. */
  load(call: AnyCall, at: number): number {
    const start = this.texts.length
    const end = jobEnd(call.texts, at, start, this.#units)
    for (let index = at; index < end; index++) this.#add(call.texts[index]!)
    if (end > at) this.parts.push({ call, start, at, count: end - at })
    return end
  }

  #add(text: string): void {
    this.texts.push(text)
    this.#units += text.length
  }

  /** Whether no call waits for it any more. */
  get idle(): boolean {
    return this.parts.every(({ call }) => call.ended)
  }

  /** The rows of one call, if it has any here. */
  rowsOf(call: object): Part | undefined {
    return this.parts.find((part) => part.call === call)
  }

  /** Hands the rows to the calls. A row's own fault fails its call and no other. */
  deliver(error: Error | null, outcome: Outcome): void {
    if (error) for (const { call } of this.parts) call.fail(error)
    else this.#deliver(outcome as Batch)
  }

  #deliver(batch: Batch): void {
    if ('faults' in batch) for (const fault of batch.faults) this.#failRow(fault.row, fromFault(fault))
    for (const { call, start, at, count } of this.parts) call.take(batch, start, at, count)
  }

  #failRow(row: number, error: Error): void {
    const part = this.parts.find(({ start, count }) => row >= start && row < start + count)
    if (!part || part.call.ended) return
    const { call, at, start } = part
    if (call.texts.length > 1) error.message = `texts[${call.offset + at + row - start}]: ${error.message}`
    part.call.fail(error)
  }
}

/** Calls with one errand, on their way to the engine in the order they came. */
class Stream {
  readonly #errand: Errand
  readonly #environment: Environment = environment()
  readonly #calls: AnyCall[] = []
  readonly #underWay = new Set<Shipment>()
  readonly #line: number
  #next = 0
  #at = 0
  #pumping = false

  constructor(errand: Errand) {
    this.#errand = errand
    this.#line = errand.line ?? this.#environment.newLine()
  }

  add(call: AnyCall): void {
    this.#calls.push(call)
  }

  /** Sends the next job if there is one and room for it; goes on until there is not. */
  pump(): void {
    if (this.#pumping || this.#underWay.size >= JOBS_IN_FLIGHT || !this.#hasMore()) return
    this.#pumping = true
    this.#environment.turns.run(() => {
      this.#pumping = false
      this.#sendOne()
      this.pump()
    })
  }

  /** Goes past calls that have ended or have all their texts on the way. */
  #hasMore(): boolean {
    for (; this.#next < this.#calls.length; this.#next++, this.#at = 0) {
      const call = this.#calls[this.#next]!
      if (!call.ended && this.#at < call.texts.length) return true
    }
    return false
  }

  #sendOne(): void {
    const shipment = new Shipment()
    while (this.#hasMore()) {
      const call = this.#calls[this.#next]!
      const end = shipment.load(call, this.#at)
      if (end > this.#at) call.carrier = this
      this.#at = end
      if (end < call.texts.length) break
    }
    if (shipment.parts.length > 0) this.#send(shipment)
  }

  #send(shipment: Shipment): void {
    this.#underWay.add(shipment)
    shipment.job = this.#environment.start(
      (engine, job) => this.#errand.send(engine, job, shipment.texts, this.#line),
      (error, outcome) => this.#arrived(shipment, error, outcome),
    )
  }

  /** The engine gets its next job first, then the rows are handed out. */
  #arrived(shipment: Shipment, error: Error | null, outcome: Outcome): void {
    this.#underWay.delete(shipment)
    this.pump()
    this.#environment.turns.run(() => shipment.deliver(error, outcome))
  }

  /** A call ended: its texts that are on their way are not computed, if that has not begun. */
  dropped(call: object): void {
    for (const shipment of this.#underWay) {
      const part = shipment.rowsOf(call)
      if (!part) continue
      if (shipment.idle) this.#cancel(shipment)
      else this.#environment.dropRows(shipment.job, part.start, part.count)
    }
  }

  #cancel(shipment: Shipment): void {
    if (!this.#environment.cancel(shipment.job)) return
    this.#underWay.delete(shipment)
    // Later: the signal that ended this call may be about to end the next ones.
    queueMicrotask(() => this.pump())
  }
}
