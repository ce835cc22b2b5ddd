/** Chapter 8b: what calls did. Events, log lines and counters. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'

import type { CallEvent } from '@x/embed-native'
import { expect, test } from 'vitest'

import { checkFault, child, loadTiny, root, tiny } from './support.js'

test('a subscriber of embed-native:call gets an event a call', async () => {
  const events: CallEvent[] = []
  const listener = (event: unknown): void => void events.push(event as CallEvent)
  const embedder = await loadTiny('bert-mean', { maxLength: 8 })
  subscribe('embed-native:call', listener)
  const { usage } = await embedder.embed(['one', 'two'])
  await embedder.countTokens('three')
  await checkFault(embedder.embed('far too long '.repeat(9), { onOverflow: 'error' }), 'ERR_TEXT_TOO_LONG')
  unsubscribe('embed-native:call', listener)
  await embedder.embed('unheard')
  expect(events.map(({ method, texts, tokens }) => ({ method, texts, tokens }))).toEqual([
    { method: 'embed', texts: 2, tokens: usage.tokens },
    { method: 'countTokens', texts: 1, tokens: 0 },
    { method: 'embed', texts: 1, tokens: 0 },
  ])
  expect(events[0]!.timing.inference).toBeGreaterThan(0)
  expect(events[2]!.error).toMatchObject({ code: 'ERR_TEXT_TOO_LONG' })
  expect(events[0]!.model).toBe(tiny('bert-mean'))
})

test('counters of a handle', async () => {
  const embedder = await loadTiny('bert-mean', { maxLength: 8 })
  const { usage } = await embedder.embed(['one', 'two'])
  await checkFault(embedder.embed('far too long '.repeat(9), { onOverflow: 'error' }), 'ERR_TEXT_TOO_LONG')
  const pending = embedder.embed(['a', 'b', 'c'])
  expect(embedder.stats()).toMatchObject({ calls: 1, failed: 1, texts: 2, tokens: usage.tokens, waiting: 3 })
  await pending
  const { waiting, timing } = embedder.stats()
  expect(waiting).toBe(0)
  expect(timing.total).toBeGreaterThan(0)
})

const script = `
  import { Embedder } from '@x/embed-native'
  const embedder = await Embedder.load(process.env.TINY)
  await embedder.embed(['one', 'two'])
`

test('EMBED_NATIVE_LOG=stderr writes a line a call', async () => {
  const { code, errors } = await child(script, { EMBED_NATIVE_LOG: 'stderr' })
  expect(code).toBe(0)
  const time = '"[\\d.]+(s|ms|µs)"'
  const times = `total_time=${time} tokenization_time=${time} queue_time=${time} inference_time=${time}`
  expect(errors).toMatch(new RegExp(`^embed\\{model=".*" texts=2 tokens=\\d+ ${times}\\}: Success$`, 'm'))
})

test('EMBED_NATIVE_LOG=stdout writes them there', async () => {
  const { code, output } = await child(script, { EMBED_NATIVE_LOG: 'stdout' })
  expect(code).toBe(0)
  expect(output).toMatch(/^embed\{model=.*: Success$/m)
})

test('the path of a log is seen from where the process was at first', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-'))
  const log = join(folder, 'calls.log')
  const elsewhere = script.replace('const', 'process.chdir(process.env.TINY)\n  const')
  const { code, errors } = await child(elsewhere, { EMBED_NATIVE_LOG: relative(root, log) })
  expect([code, errors]).toEqual([0, ''])
  expect(readFileSync(log, 'utf8')).toMatch(/^embed\{model=.*: Success\n$/)
  rmSync(folder, { recursive: true })
})

test.for([tiny('bert-mean'), 'yes'])('a log that cannot be written is a warning, and calls go on: %s', async (name) => {
  const { code, errors } = await child(script, { EMBED_NATIVE_LOG: name })
  expect(code).toBe(0)
  expect(errors).toMatch(/EMBED_NATIVE_LOG: .*not logged/)
})

test('a log on a full disk is a warning, and calls go on', async () => {
  const { code, errors } = await child(script, { EMBED_NATIVE_LOG: '/dev/full' })
  expect(code).toBe(0)
  expect(errors).toMatch(/EMBED_NATIVE_LOG: .*not logged/)
})
