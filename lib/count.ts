/** Counting tokens, with a model of any kind. */
import type { Errand } from './batch.js'
import type { Handle } from './handle.js'
import { type Checks, readOptions, signal } from './options.js'
import { run } from './requests.js'
import { CountSink } from './results.js'
import { copyTexts } from './texts.js'
import type { CountOptions } from './types.js'

const countChecks: Checks<CountOptions> = { signal }

/** Tokens of texts, special ones included and nothing cut. */
export async function countTokens(handle: Handle, given: unknown, asked: unknown): Promise<number | number[]> {
  const method = 'countTokens'
  const options = readOptions(method, asked, countChecks)
  const texts = copyTexts(method, given)
  const errand: Errand = {
    key: `count ${handle.id}`,
    send: (engine, job, part) => engine.count(job, handle.native, part),
  }
  const counts = await run({ handle, method, texts, sink: new CountSink(texts.length), options, errand })
  return typeof given === 'string' ? counts[0]! : counts
}
