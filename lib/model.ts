/** What every loaded model has, whatever it is for: facts about itself, and an end. */
import { countTokens } from './count.js'
import { argumentError } from './errors.js'
import { type Handle, defineDisposal } from './handle.js'
import type { CountOptions, ModelInfo, Stats } from './types.js'

/** What only the `load` methods have. */
export const loading: unique symbol = Symbol('loading')

/** The handle behind a model: for the modules of this folder, not for users. */
export let handleOf: (model: Model) => Handle

/** A loaded model. */
export abstract class Model {
  /** What is known about the model. Frozen. */
  readonly info: ModelInfo
  readonly #handle: Handle

  /** Frees the model, as `dispose` does. */
  declare readonly [Symbol.dispose]: () => void
  /** Frees the model, and resolves when the calls under way have ended. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>

  protected constructor(name: string, handle: Handle, key: unknown) {
    if (key !== loading) throw argumentError(`Use \`await ${name}.load(folder)\`: a model takes time to load`)
    this.#handle = handle
    this.info = handle.info
  }

  /**
   * Counts tokens, special ones included, before any cutting: a text of more than `info.maxLength` would be cut. Prompts and
   * markers are not counted.
   */
  async countTokens(text: string, options?: CountOptions): Promise<number>
  async countTokens(texts: readonly string[], options?: CountOptions): Promise<number[]>
  async countTokens(texts: string | readonly string[], options?: CountOptions): Promise<number | number[]>
  async countTokens(texts: string | readonly string[], options?: CountOptions): Promise<number | number[]> {
    return countTokens(this.#handle, texts, options)
  }

  /** What calls of this handle came to so far. */
  stats(): Stats {
    return this.#handle.stats()
  }

  /** Whether `dispose` was called. */
  get disposed(): boolean {
    return this.#handle.disposed
  }

  /** Frees the model once the calls under way have ended; new calls reject with ERR_DISPOSED. Twice is as good as once. */
  dispose(): void {
    this.#handle.dispose()
  }

  static {
    handleOf = (model) => model.#handle
    defineDisposal(Model, (model) => model.#handle.dispose())
  }
}
