/**
 * What calls did, for people who run things: an event a call on the channel `embed-native:call` of node:diagnostics_channel,
 * and a line a call where EMBED_NATIVE_LOG says so (`stderr`, `stdout`, or the path of a file). Costs nothing while nobody listens.
 */
import { channel } from 'node:diagnostics_channel'
import { existsSync, openSync, statSync, write } from 'node:fs'
import { resolve } from 'node:path'

import { workingFolder } from './location.js'
import type { CallEvent, Timing } from './types.js'

const calls = channel('embed-native:call')

/** Whether anybody wants to know. */
export function isObserved(): boolean {
  return calls.hasSubscribers || logTarget() !== undefined
}

/** Tells whoever wants to know. */
export function report(event: CallEvent): void {
  calls.publish(event)
  if (logTarget() !== undefined) writeLine(line(event))
}

/** Where the process was at first: the path of a log is seen from there. */
const start = workingFolder() ?? ''

let target: number | undefined
let opened = false

/** The descriptor that lines go to: decided at the first call. */
function logTarget(): number | undefined {
  if (opened) return target
  opened = true
  const name = process.env.EMBED_NATIVE_LOG
  if (name === 'stderr' || name === 'stdout') target = process[name].fd
  else if (name) target = openFile(name)
  return target
}

/** A bare word is rather a wish than a file. A pipe without a reader would keep whoever opens it waiting. */
function openFile(name: string): number | undefined {
  try {
    if (!/[./\\]/.test(name)) throw new Error(`${name} is neither stderr nor stdout; a file of that name is ./${name}`)
    const path = resolve(start, name)
    if (existsSync(path) && !statSync(path).isFile()) throw new Error(`${name} is no file`)
    return openSync(path, 'a')
  } catch (error) {
    return stopLogging(error as Error)
  }
}

let waiting = ''
let writing = false

/** Lines are written in their order, in the system's own time. */
function writeLine(text: string): void {
  waiting += `${text}\n`
  if (!writing) flush()
}

/** What cannot be written is told once, and calls go on without it. */
function flush(): void {
  if (waiting === '' || target === undefined) return
  const lines = waiting
  waiting = ''
  writing = true
  write(target, lines, (error) => {
    writing = false
    if (error) stopLogging(error)
    flush()
  })
}

function stopLogging(error: Error): undefined {
  target = undefined
  process.emitWarning(`EMBED_NATIVE_LOG: ${error.message}; calls are not logged`)
}

/** One line of a call: what it was, where its time went, how it ended. */
export function line({ method, model, texts, tokens, timing, error }: CallEvent): string {
  const times = (['total', 'tokenization', 'queue', 'inference'] as const)
    .map((name) => `${name}_time="${duration(timing[name])}"`)
    .join(' ')
  const outcome = error ? `Error ${nameOf(error)}` : 'Success'
  return `${method}{model=${JSON.stringify(model)} texts=${texts} tokens=${tokens} ${times}}: ${outcome}`
}

/** Our errors have a code, those of the platform a name. */
function nameOf(error: unknown): string {
  const { code, name } = Object(error) as { code?: unknown; name?: unknown }
  return String(typeof code === 'string' ? code : (name ?? error))
}

function duration(milliseconds: number): string {
  if (milliseconds >= 1000) return `${(milliseconds / 1000).toFixed(2)}s`
  return milliseconds >= 1 ? `${milliseconds.toFixed(2)}ms` : `${(milliseconds * 1000).toFixed(2)}µs`
}

/** Times of a call that gave no result: only the total is known. */
export function onlyTotal(total: number): Timing {
  return { total, queue: 0, tokenization: 0, inference: 0 }
}
