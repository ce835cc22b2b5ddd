/** Memory of a process under load: 50,000 texts of mixed length, embedded call by call, the vectors thrown away. It must not grow. */
import { Embedder } from '@x/embed-native'

import { loadTexts } from './data.mjs'
import { loadOptions, readOptions } from './options.mjs'
import { growYoungGeneration, mebibytes, settledRss, verdict } from './report.mjs'

const CALL = 500
/** Of so many texts one is long. */
const LONG_SHARE = 25

const options = await readOptions(
  'Memory while 50,000 texts of mixed length are embedded.',
  { texts: { type: 'string' } },
  `
  --texts <n>         how many; default: 50,000`,
)
/** A smoke run ends before the allocators have settled. */
const limit = options.smoke ? 1000 : 10
const total = Number(options.texts ?? (options.smoke ? 1000 : 50_000))
const { short, long } = loadTexts(options.data)
const bare = mebibytes(process.memoryUsage.rss())
const embedder = await Embedder.load(options.model, loadOptions(options))

/** Embeds texts `from` to `to`, the same ones whenever they are asked for; the largest resident set seen, in MiB. */
async function peak(from, to) {
  const textAt = (index) =>
    index % LONG_SHARE === 0 ? long[(index / LONG_SHARE) % long.length] : short[index % short.length]
  let largest = 0
  for (let start = from; start < to; start += CALL) {
    const texts = Array.from({ length: Math.min(CALL, to - start) }, (_, index) => textAt(start + index))
    const vectors = await embedder.embed(texts)
    if (vectors.length !== texts.length) throw new Error(`${vectors.length} vectors for ${texts.length} texts`)
    largest = Math.max(largest, mebibytes(process.memoryUsage.rss()))
  }
  return largest
}

growYoungGeneration()
const early = await peak(0, total / 10)
const kept = await settledRss()
const late = await peak(total / 10, total)
const { dtype, kernel } = embedder.info
console.log(
  `${dtype} ${kernel}: before the load ${bare.toFixed(0)} MB, after a tenth ${kept.toFixed(0)} (at most ${early.toFixed(0)}), at most ${late.toFixed(0)} after that`,
)
verdict('growth after the first tenth', (await settledRss()) - kept, limit, { unit: ' MB', digits: 1 })
verdict('… of the most there was', late - early, limit, { unit: ' MB', digits: 1 })
embedder.dispose()
