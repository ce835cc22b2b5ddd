/**
 * Sharing the event loop: small pieces of work, together at most about two milliseconds a turn. A piece runs at once
 * while the turn has time left, so a short call waits for nothing. What it is not: a scheduler; pieces keep their order.
 */
import { setImmediate } from 'node:timers'

/** Milliseconds of work in one turn of the event loop. */
export const BUDGET = 2

/** The pieces of work of one JavaScript environment. */
export class Turns {
  #waiting: Array<() => void> = []
  #spent = 0
  #armed = false

  /** Runs `piece` now, or in a later turn if this one has had enough. A piece must not throw. */
  run(piece: () => void): void {
    if (this.#waiting.length > 0 || this.#spent >= BUDGET) this.#waiting.push(piece)
    else this.#time(piece)
    this.#arm()
  }

  #time(piece: () => void): void {
    const start = performance.now()
    piece()
    this.#spent += performance.now() - start
  }

  #arm(): void {
    if (this.#armed) return
    this.#armed = true
    setImmediate(this.#turn)
  }

  #turn = (): void => {
    this.#armed = false
    this.#spent = 0
    while (this.#waiting.length > 0 && this.#spent < BUDGET) this.#time(this.#waiting.shift()!)
    if (this.#waiting.length > 0) this.#arm()
  }
}

/** Resolves in the next turn of the event loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Runs `work` over 0 … `total` in slices of `size`, one slice a turn. */
export async function slices(total: number, size: number, work: (from: number, to: number) => void): Promise<void> {
  for (let from = 0; from < total; from += size) {
    if (from > 0) await nextTurn()
    work(from, Math.min(from + size, total))
  }
}
