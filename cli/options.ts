/** Options as they are typed: read by Node's own parser, checked against a command's table, named with the nearest if unknown. */
import { parseArgs } from 'node:util'
import { distance } from 'fastest-levenshtein'

import { UsageError } from './command.js'

/** An option of a command. */
export interface Option {
  readonly kind: 'flag' | 'text' | 'number' | 'choice' | 'list'
  /** One letter. */
  readonly short?: string
  /** What stands for its value in help: `file`, `n`. */
  readonly value?: string
  /** In one line. */
  readonly about: string
  /** Of a choice, or of each word of a list. */
  readonly choices?: readonly string[]
  /** Of a number: the least and the most. */
  readonly range?: readonly [number, number]
}

type Value<One extends Option> = One['kind'] extends 'flag'
  ? boolean
  : One['kind'] extends 'number'
    ? number
    : One['kind'] extends 'list'
      ? Word<One>[]
      : Word<One>

type Word<One extends Option> = One['choices'] extends readonly (infer Word)[] ? Word : string

/** What the user typed, by option. */
export type Values<Options extends Record<string, Option>> = { readonly [Name in keyof Options]?: Value<Options[Name]> }

/** What the user typed after a command. */
export interface Typed {
  readonly operands: string[]
  readonly options: Record<string, string | string[] | number | boolean>
}

/** Reads what follows a command; throws a UsageError. */
export function read(words: readonly string[], known: Readonly<Record<string, Option>>): Typed {
  const options = Object.fromEntries(
    Object.entries(known).map(([name, { kind, short }]) => [
      name,
      { type: kind === 'flag' ? ('boolean' as const) : ('string' as const), ...(short && { short }) },
    ]),
  )
  const typed: Typed = { operands: [], options: {} }
  for (const token of parseArgs({ args: [...words], options, strict: false, tokens: true }).tokens) {
    if (token.kind === 'positional') typed.operands.push(token.value)
    if (token.kind !== 'option') continue
    const option = known[token.name]
    if (!option || !Object.hasOwn(known, token.name)) throw unknown(token.rawName, Object.keys(known))
    typed.options[token.name] = value(token.rawName, token.value, option)
  }
  return typed
}

function value(name: string, typed: string | undefined, option: Option): Typed['options'][string] {
  if (option.kind === 'flag') {
    if (typed !== undefined) throw new UsageError(`${name} takes no value, got "${typed}"`)
    return true
  }
  if (typed === undefined || typed === '') throw new UsageError(`${name} needs a value: ${name} <${shown(option)}>`)
  if (option.kind === 'number') return number(name, typed, option.range ?? [0, Number.MAX_SAFE_INTEGER])
  if (option.kind === 'list') return typed.split(',').map((word) => chosen(name, word.trim(), option))
  return chosen(name, typed, option)
}

function chosen(name: string, typed: string, { choices }: Option): string {
  if (!choices || choices.includes(typed)) return typed
  throw new UsageError(`${name} must be ${choices.join(', ')}; got "${typed}"`)
}

function number(name: string, typed: string, [least, most]: readonly [number, number]): number {
  const value = Number(typed)
  if (Number.isInteger(value) && value >= least && value <= most) return value
  const limit = most === Number.MAX_SAFE_INTEGER ? `${least} or more` : `from ${least} to ${most}`
  throw new UsageError(`${name} must be a whole number, ${limit}; got "${typed}"`)
}

function unknown(name: string, known: readonly string[]): UsageError {
  return new UsageError(`unknown option ${name}${meant(name.replace(/^-+/, ''), known, '--')}`)
}

/** `; did you mean --model?` where something is near. */
export function meant(typed: string, known: readonly string[], dashes = ''): string {
  const all = known.map((word) => ({ word, far: distance(typed.toLowerCase(), word) })).sort((a, b) => a.far - b.far)
  const [near, next] = all
  // As many changes as letters make anything of anything, and of two that are as near neither is meant.
  const close =
    near &&
    near.far !== next?.far &&
    near.far < typed.length &&
    near.far <= Math.max(2, Math.floor(near.word.length / 3))
  return close ? `; did you mean ${dashes}${near.word}?` : ''
}

/** What stands for an option's value. */
export function shown(option: Option): string {
  return option.value ?? option.choices?.join('|') ?? (option.kind === 'number' ? 'n' : 'text')
}
