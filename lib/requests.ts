/** What each method does, between the face and the batches: read the arguments, make a call, wait for it. */
import { throwIfAborted } from './abort.js'
import { type Errand, submit } from './batch.js'
import type { NativeEmbedOptions, NativeRerankOptions } from './binding.js'
import { Call, type CallOptions, type Sink } from './call.js'
import { describe } from './describe.js'
import { argumentError, ModelError } from './errors.js'
import { type Handle, load, type Use } from './handle.js'
import {
  callback,
  type Checks,
  device,
  flag,
  oneOf,
  prompt,
  readOptions,
  signal,
  wholeNumber,
  word,
} from './options.js'
import { CountSink, embedSink, ScoreSink, withUsage } from './results.js'
import { checkTexts, copyDocuments, copyTexts, MAX_TEXTS, textOf } from './texts.js'
import type { CountOptions, EmbedOptions, LoadOptions, Ranked, RerankOptions, WithUsage } from './types.js'

/** What texts are for: chooses the model's own prompt. */
export type Purpose = 'query' | 'document'

const countChecks: Checks<CountOptions> = { signal }

const loadChecks: Checks<LoadOptions> = {
  backend: oneOf(['native', 'candle', 'onnx']),
  device,
  dtype: oneOf(['auto', 'f32', 'bf16', 'f16', 'int8']),
  threads: wholeNumber(1, 1024),
  maxLength: wholeNumber(1, 2 ** 31 - 1),
  pooling: oneOf(['mean', 'cls', 'max', 'lasttoken', 'mean_sqrt_len_tokens', 'weightedmean']),
  adapter: word,
  signal,
}

const rerankChecks: Checks<RerankOptions> = {
  topN: wholeNumber(1, MAX_TEXTS),
  score: oneOf(['model', 'sigmoid', 'logit']),
  text: callback,
  onOverflow: oneOf(['truncate', 'error'], ['chunk']),
  truncationSide: oneOf(['right', 'left']),
  signal,
  onProgress: callback,
}

function embedChecks(dims: number): Checks<EmbedOptions> {
  return {
    prompt,
    dimensions: wholeNumber(1, dims),
    normalize: flag,
    output: oneOf(['float32', 'matrix', 'array'], ['int8', 'binary']),
    onOverflow: oneOf(['truncate', 'error'], ['chunk']),
    truncationSide: oneOf(['right', 'left']),
    signal,
    onProgress: callback,
  }
}

/** Opens a model; `method` is the name that messages give. */
export async function open(use: Use, method: string, model: unknown, options: unknown): Promise<Handle> {
  if (typeof model !== 'string' || model === '') {
    throw argumentError(`${method}: expected a model folder, got ${describe(model)}`)
  }
  return load(use, model, readOptions(method, options, loadChecks))
}

/** Embeds; `method` is the name that messages give. */
export function embed(
  handle: Handle,
  method: string,
  given: unknown,
  options: unknown,
  purpose?: Purpose,
): Promise<unknown> {
  return during(handle, async () => {
    const { output = 'float32', ...settings } = readOptions(method, options, embedChecks(handle.info.dims))
    const native = toNative(handle, settings, purpose)
    const texts = copyTexts(method, given)
    const sink = embedSink(output, texts.length, settings.dimensions ?? handle.info.dims, typeof given === 'string')
    return run(method, texts, sink, settings, {
      key: `embed ${handle.id} ${JSON.stringify(native)}`,
      send: (engine, job, part) => engine.embed(job, handle.native, part, native),
    })
  })
}

/** Scores documents against a query, best first. */
export function rerank<Document>(
  handle: Handle,
  query: unknown,
  given: readonly Document[],
  options: unknown,
): Promise<WithUsage<Ranked<Document>[]>> {
  return during(handle, async () => {
    const settings = readOptions<RerankOptions<Document>>('rerank', options, rerankChecks)
    const { score, onOverflow: overflow, truncationSide, topN = Infinity } = settings
    checkTexts('rerank', [query])
    const documents = copyDocuments('rerank', given)
    const texts = documents.map(textOf('rerank', settings.text))
    const native: NativeRerankOptions = { score, overflow, truncationSide }
    const scores = await run('rerank', texts, new ScoreSink(texts.length), settings, {
      key: `rerank ${handle.id} ${JSON.stringify([native, query])}`,
      send: (engine, job, part) =>
        engine.rerank(job, handle.native, { query: query as string, documents: part }, native),
    })
    return withUsage(ranked(documents, scores).slice(0, topN), scores.usage)
  })
}

/** Best first; in a tie, the document that came first. */
function ranked<Document>(documents: readonly Document[], scores: readonly number[]): Ranked<Document>[] {
  const all = documents.map((document, index) => ({ index, score: scores[index]!, document }))
  return all.sort((a, b) => b.score - a.score || a.index - b.index)
}

/** Counts tokens. */
export function countTokens(handle: Handle, given: unknown, options: unknown): Promise<number | number[]> {
  return during(handle, async () => {
    const settings = readOptions('countTokens', options, countChecks)
    const texts = copyTexts('countTokens', given)
    const counts = await run('countTokens', texts, new CountSink(texts.length), settings, {
      key: `count ${handle.id}`,
      send: (engine, job, part) => engine.count(job, handle.native, part),
    })
    return typeof given === 'string' ? counts[0]! : counts
  })
}

async function during<Result>(handle: Handle, work: () => Promise<Result>): Promise<Result> {
  handle.enter()
  try {
    return await work()
  } finally {
    handle.leave()
  }
}

/** Few texts are on their way before this returns, so that they join the other calls of this turn. */
async function run<Batch, Result>(
  method: string,
  texts: unknown[],
  sink: Sink<Batch, Result>,
  options: CallOptions,
  errand: Errand,
): Promise<Result> {
  const checking = checkTexts(method, texts)
  if (checking) await checking
  throwIfAborted(options.signal)
  if (texts.length === 0) return sink.finish()
  const call = new Call(texts as string[], sink, options)
  submit(call, errand)
  return call.promise
}

function toNative(handle: Handle, options: EmbedOptions, purpose?: Purpose): NativeEmbedOptions {
  const { prompt: asked, dimensions, normalize, onOverflow, truncationSide } = options
  const native: NativeEmbedOptions = { dimensions, normalize, overflow: onOverflow, truncationSide }
  if (asked === undefined) return { ...native, purpose }
  if (typeof asked !== 'string') return { ...native, promptText: asked.text }
  checkPromptName(handle, asked)
  return { ...native, prompt: asked }
}

function checkPromptName({ info }: Handle, name: string): void {
  if (Object.hasOwn(info.prompts, name)) return
  const known = Object.keys(info.prompts)
  const has = known.length > 0 ? `It has: ${known.join(', ')}.` : 'It has none.'
  throw new ModelError('ERR_PROMPT', `${info.model} has no prompt named "${name}". ${has} Use { text } for your own.`)
}
