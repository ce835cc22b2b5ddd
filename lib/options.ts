/**
 * Options, checked before anything starts. An unknown name is refused: a typo that is ignored gives wrong vectors.
 * Each option is read once, so that a getter cannot answer twice.
 */
import { describe } from './describe.js'
import { argumentError } from './errors.js'

export type Check = (name: string, value: unknown) => void

/** One check for each option a call knows. */
export type Checks<Options> = { readonly [Name in keyof Required<Options>]: Check }

/** Options of other versions of this library: their names are known, and refused. */
const LATER: ReadonlySet<string> = new Set(['memoryBudget'])

/** The options that are set, checked one by one. `call` names the method in messages. */
export function readOptions<Options extends object>(call: string, given: unknown, checks: Checks<Options>): Options {
  const read: Record<string, unknown> = {}
  if (given === undefined) return read as Options
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw argumentError(`${call}: options must be an object, got ${describe(given)}`)
  }
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(checks, name)) throw unknownOption(call, name, Object.keys(checks))
    const value: unknown = given[name as keyof typeof given]
    if (value === undefined) continue
    checks[name as keyof Options](`${call}: options.${name}`, value)
    read[name] = value
  }
  return read as Options
}

function unknownOption(call: string, name: string, known: readonly string[]): Error {
  const why = LATER.has(name) ? `option "${name}" is planned, but not in this version` : `unknown option "${name}"`
  return argumentError(`${call}: ${why}. Known options: ${known.join(', ')}`)
}

/** A whole number from `least` to `most`. */
export function wholeNumber(least: number, most: number): Check {
  return (name, value) => {
    const expected = `${name} must be a whole number from ${least} to ${most}, got ${describe(value)}`
    if (typeof value !== 'number') throw argumentError(expected)
    if (!Number.isInteger(value) || value < least || value > most) throw argumentError(expected, RangeError)
  }
}

/** One of a few words. */
export function oneOf(words: readonly string[]): Check {
  return (name, value) => {
    if (typeof value === 'string' && words.includes(value)) return
    throw argumentError(`${name} must be ${words.map((word) => `"${word}"`).join(' or ')}, got ${describe(value)}`)
  }
}

/** An array of such words, at least one. */
export function someOf(words: readonly string[]): Check {
  const one = oneOf(words)
  return (name, value) => {
    if (!Array.isArray(value)) throw argumentError(`${name} must be an array, got ${describe(value)}`)
    if (value.length === 0) throw argumentError(`${name} must name at least one, got an empty array`)
    for (let index = 0; index < value.length; index++) one(`${name}[${index}]`, value[index])
  }
}

/** Any text but the empty one: what it may be is the engine's to say. */
export const word: Check = (name, value) => {
  if (typeof value !== 'string' || value === '') throw argumentError(`${name} must be a name, got ${describe(value)}`)
}

/** As `word`, and never shown. */
export const secret: Check = (name, value) => {
  if (typeof value !== 'string' || value === '') throw argumentError(`${name} must be a string that is not empty`)
}

/** Any text. */
export const anyText: Check = (name, value) => {
  if (typeof value !== 'string') throw argumentError(`${name} must be a string, got ${describe(value)}`)
}

/** A device, or an array of devices. */
export const device: Check = (name, value) => {
  if (!Array.isArray(value)) oneDevice(name, value)
  else if (value.length === 0) throw argumentError(`${name} must name at least one, got an empty array`)
  else for (let index = 0; index < value.length; index++) oneDevice(`${name}[${index}]`, value[index])
}

const oneDevice: Check = (name, value) => {
  if (typeof value === 'string' && /^(auto|cpu|metal|cuda(:\d+)?)$/.test(value)) return
  throw argumentError(`${name} must be "auto", "cpu", "cuda", "cuda:N" or "metal", got ${describe(value)}`)
}

/** true or false. */
export const flag: Check = (name, value) => {
  if (typeof value !== 'boolean') throw argumentError(`${name} must be true or false, got ${describe(value)}`)
}

/** A function. */
export const callback: Check = (name, value) => {
  if (typeof value !== 'function') throw argumentError(`${name} must be a function, got ${describe(value)}`)
}

/** An AbortSignal, of this realm or another. */
export const signal: Check = (name, value) => {
  const { aborted, addEventListener, removeEventListener } = Object(value) as Partial<AbortSignal>
  const listens = typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  if (typeof aborted === 'boolean' && listens) return
  throw argumentError(`${name} must be an AbortSignal, got ${describe(value)}`)
}

/** A prompt's name, or `{ text }` with a prompt in full. */
export const prompt: Check = (name, value) => {
  if (typeof value === 'string') return
  const { text } = Object(value) as { text?: unknown }
  if (typeof text === 'string') return
  throw argumentError(`${name} must be the name of a prompt or { text: string }, got ${describe(value)}`)
}
