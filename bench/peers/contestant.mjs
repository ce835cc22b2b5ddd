/**
 * The side of a contestant: it loads, makes a first vector, says so, and then does what it is told, a word a line, answering
 * each with a line of JSON. `peer.py` does the same.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const CALLS = 200

/**
 * @param {{
 *   load: () => Promise<void>,
 *   first: () => Promise<unknown>,
 *   embed: (kind: 'short' | 'long', count?: number) => Promise<ArrayLike<number>[]>,
 *   embedOne: (index: number) => Promise<unknown>,
 *   openReranker: () => Promise<void>,
 *   rerank: () => Promise<unknown>,
 * }} contestant
 */
export async function serve(contestant) {
  const vectors = async () => (await contestant.embed('short', 100)).map((vector) => [...vector])
  const commands = {
    vectors,
    short: () => timed(() => contestant.embed('short')),
    long: () => timed(() => contestant.embed('long')),
    one: () => latencies(contestant),
    open: () => contestant.openReranker(),
    pairs: () => timed(() => contestant.rerank()),
    memory: () => process.resourceUsage().maxRSS / 1024,
  }
  await contestant.load()
  await contestant.first()
  answer(0)
  for await (const command of createInterface({ input: process.stdin })) answer((await commands[command]()) ?? 0)
}

const answer = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)

async function timed(work) {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

async function latencies({ embedOne }) {
  const found = []
  for (let call = 0; call < CALLS; call++) found.push(1000 * (await timed(() => embedOne(call))))
  return found
}

export const readScratch = (scratch, name) => JSON.parse(readFileSync(join(scratch, `${name}.json`), 'utf8'))
