/** Reranking: a query and documents in, the documents in the order of their scores out. */
import { type Errand, inLine, JOB_TEXTS } from './batch.js'
import type { NativeRerankOptions } from './binding.js'
import type { Handle } from './handle.js'
import { handleOf, loading, Model } from './model.js'
import { anyText, callback, type Checks, oneOf, readOptions, wholeNumber } from './options.js'
import { open, requestChecks, run } from './requests.js'
import { ScoreSink, withUsage } from './results.js'
import { type GroupOptions, type Streamed, stream } from './stream.js'
import { checkTexts, copyDocuments, MAX_TEXTS, textOf } from './texts.js'
import type { LoadOptions, Ranked, RerankOptions, RerankStreamOptions, WithPicker, WithUsage } from './types.js'

/** A reranker over a handle: for the modules of this folder, not for users. */
export let rerankerOf: (handle: Handle) => Reranker

/**
 * A loaded cross-encoder, or a language model that reranks: it reads a query and a document together and scores how well they fit. Slower than comparing
 * vectors and better: embed to find a hundred candidates, rerank to find the best of them.
 */
export class Reranker extends Model {
  static {
    rerankerOf = (handle) => new Reranker(handle, loading)
  }

  private constructor(handle: Handle, key: unknown) {
    super('Reranker', handle, key)
  }

  /**
   * Opens a cross-encoder with one label, a Qwen3-Reranker, or an embedding model with `options.adapter`, a LoRA adapter
   * that makes it a cross-encoder.
   *
   * @param model A folder in the layout of transformers (config.json, model.safetensors, tokenizer.json, …).
   * @throws As `Embedder.load`
   */
  static async load(model: string, options?: LoadOptions): Promise<Reranker> {
    return new Reranker(await open('rerank', 'Reranker.load', model, options), loading)
  }

  /**
   * Scores documents against a query: best first, in a tie the one that came first. Pairs that are too long are cut, the
   * longer text first; the result's `usage.truncated` names the documents whose pair was.
   *
   * @param documents Strings, or objects with a `text` (or what `options.text` says).
   * @throws ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  async rerank<Document extends string | { readonly text: string }>(
    query: string,
    documents: readonly Document[],
    options?: RerankOptions<Document>,
  ): Promise<WithUsage<Ranked<Document>[]>>
  async rerank<Document>(
    query: string,
    documents: readonly Document[],
    options: RerankOptions<Document> & WithPicker<Document>,
  ): Promise<WithUsage<Ranked<Document>[]>>
  async rerank<Document>(
    query: string,
    documents: readonly Document[],
    options?: RerankOptions<Document>,
  ): Promise<WithUsage<Ranked<Document>[]>> {
    return rerank(handleOf(this), query, documents, options)
  }

  /**
   * Scores the documents of an iterable as they come, and yields them in their own order. Only a few hundred are in memory at a
   * time: a slow reader slows the source down. Ending the loop early ends the source, and drops work that has not begun.
   *
   * @throws As `rerank`, and what the source throws
   */
  rerankStream<Document extends string | { readonly text: string }>(
    query: string,
    documents: Iterable<Document> | AsyncIterable<Document>,
    options?: RerankStreamOptions<Document>,
  ): AsyncGenerator<Ranked<Document>, void, undefined>
  rerankStream<Document>(
    query: string,
    documents: Iterable<Document> | AsyncIterable<Document>,
    options: RerankStreamOptions<Document> & WithPicker<Document>,
  ): AsyncGenerator<Ranked<Document>, void, undefined>
  rerankStream<Document>(
    query: string,
    documents: Iterable<Document> | AsyncIterable<Document>,
    options?: RerankStreamOptions<Document>,
  ): AsyncGenerator<Ranked<Document>, void, undefined> {
    return rerankStream(handleOf(this), query, documents, options)
  }
}

const rerankChecks: Checks<RerankOptions> = {
  topN: wholeNumber(1, MAX_TEXTS),
  instruction: anyText,
  score: oneOf(['model', 'sigmoid', 'logit']),
  text: callback,
  onOverflow: oneOf(['truncate', 'error', 'chunk']),
  ...requestChecks,
  onProgress: callback,
}

const { topN: _, deadline: __, ...streamChecks }: Checks<RerankOptions> = rerankChecks

/** Scores documents against a query, best first. */
async function rerank<Document>(
  handle: Handle,
  query: unknown,
  given: readonly Document[],
  asked: unknown,
): Promise<WithUsage<Ranked<Document>[]>> {
  const method = 'rerank'
  const options = readOptions<RerankOptions<Document>>(method, asked, rerankChecks)
  checkTexts(method, [query])
  const documents = copyDocuments(method, given)
  const texts = documents.map(textOf<Document>(method, options.text))
  const [sink, errand] = [new ScoreSink(texts.length), scores(handle, query as string, options)]
  const found = await run({ handle, method, texts, sink, options, errand })
  return withUsage(ranked(documents, found).slice(0, options.topN ?? Infinity), found)
}

function rerankStream<Document>(
  handle: Handle,
  query: string,
  documents: Iterable<Document> | AsyncIterable<Document>,
  options: unknown,
): AsyncGenerator<Ranked<Document>, void, undefined> {
  const method = 'rerankStream'
  const settings = readOptions<RerankStreamOptions<Document>>(method, options, streamChecks)
  checkTexts(method, [query])
  const errand = inLine(scores(handle, query, { priority: 'background', ...settings }))
  const text = textOf<Document>(method, settings.text)
  const send = (texts: string[], options: GroupOptions): Promise<WithUsage<number[]>> =>
    run({ handle, method, texts, sink: new ScoreSink(texts.length), options, errand, patient: true })
  const groupTexts = Math.min(JOB_TEXTS, handle.maxQueue)
  const { signal, onProgress } = settings
  return rankedOf(stream(documents, { method, text, groupTexts, send, signal, onProgress }))
}

async function* rankedOf<Document>(
  streamed: AsyncIterable<Streamed<Document, number>>,
): AsyncGenerator<Ranked<Document>, void, undefined> {
  for await (const { index, item, result } of streamed) yield { index, score: result, document: item }
}

type Scoring = Pick<RerankOptions, 'instruction' | 'score' | 'onOverflow' | 'truncationSide' | 'priority'>

/** The errand of scoring documents against a query. */
function scores(handle: Handle, query: string, options: Scoring): Errand {
  const { instruction, score, onOverflow, truncationSide, priority } = options
  const native: NativeRerankOptions = { instruction, score, overflow: onOverflow, truncationSide, priority }
  return {
    key: `rerank ${handle.id} ${JSON.stringify([native, query])}`,
    send: (engine, job, part, line) => engine.rerank(job, line, handle.native, { query, documents: part }, native),
  }
}

/** Best first; in a tie, the document that came first. */
function ranked<Document>(documents: readonly Document[], scores: readonly number[]): Ranked<Document>[] {
  const all = documents.map((document, index) => ({ index, score: scores[index]!, document }))
  return all.sort((a, b) => b.score - a.score || a.index - b.index)
}
