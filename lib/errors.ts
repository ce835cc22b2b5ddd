/** How a fault is said: `ModelError` for what went wrong, `TypeError` and `RangeError` with a code for wrong arguments. */
import type { Fault } from './binding.js'
import type { ErrorCode } from './types.js'

/** Something went wrong with a model, a text or this library. `code` is stable; `message` says what to do. */
export class ModelError extends Error {
  /** The stable name of the fault, such as `ERR_MODEL_FILE`. */
  readonly code: ErrorCode

  /** Used by this library; public so that tests of yours can make one. */
  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ModelError'
    this.code = code
  }
}

/** A wrong argument: a TypeError, or a RangeError for a number out of range, with the code ERR_INVALID_ARGUMENT. */
export function argumentError(message: string, Kind: typeof TypeError | typeof RangeError = TypeError): Error {
  return Object.assign(new Kind(message), { code: 'ERR_INVALID_ARGUMENT' as const })
}

/** The engine's fault as an error. */
export function fromFault({ code, message }: Fault): Error {
  return wrongArgument(code, message) ?? new ModelError(code as ErrorCode, message)
}

function wrongArgument(code: unknown, message: string): Error | undefined {
  if (code === 'ERR_ARGUMENT_RANGE') return argumentError(message, RangeError)
  return code === 'ERR_INVALID_ARGUMENT' ? argumentError(message) : undefined
}

/** What the binding threw, as an error of ours; the thrown one is its cause. */
export function fromThrown(thrown: unknown): Error {
  if (thrown instanceof ModelError) return thrown
  const { code, message } = Object(thrown) as { code?: unknown; message?: unknown }
  const text = typeof message === 'string' ? message : String(thrown)
  const wrong = wrongArgument(code, text)
  if (wrong) return wrong
  const known = typeof code === 'string' && code.startsWith('ERR_')
  return new ModelError(known ? (code as ErrorCode) : 'ERR_INTERNAL', text, { cause: thrown })
}

/** An array of vectors that V8 would not allocate, as an error of ours; anything else as it is. */
export function fromAllocation(thrown: unknown, rows: number): unknown {
  if (!(thrown instanceof RangeError)) return thrown
  const message = `No memory for ${rows} vectors: ${thrown.message}. Embed fewer texts a call.`
  return new ModelError('ERR_MEMORY', message, { cause: thrown })
}
