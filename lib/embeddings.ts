/** Streams of embeddings, whatever they are made of: what the `embedStream` of each class has in common. */
import { type Errand, JOB_TEXTS } from './batch.js'
import type { Rows } from './binding.js'
import type { Sink } from './call.js'
import type { Handle } from './handle.js'
import { type Checks, oneOf } from './options.js'
import { run } from './requests.js'
import { type GroupOptions, stream } from './stream.js'
import type { RequestOptions, StreamOptions, StreamProgress, WithUsage } from './types.js'

/** How a stream's texts are run, and what becomes of a group of so many: an array of results. */
export interface Embeddings {
  readonly errand: Errand
  readonly sink: (count: number) => Sink<Rows, unknown>
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: StreamProgress) => void) | undefined
}

/** The embeddings of an iterable's texts, in their order. Wrong arguments throw at once. */
export function embeddings<Result>(
  handle: Handle,
  method: string,
  texts: Iterable<string> | AsyncIterable<string>,
  { errand, sink, signal, onProgress }: Embeddings,
): AsyncGenerator<Result, void, undefined> {
  const send = (texts: string[], options: GroupOptions): Promise<WithUsage<Result[]>> => {
    const results = sink(texts.length) as Sink<Rows, WithUsage<Result[]>>
    return run({ handle, method, texts, sink: results, options, errand, patient: true })
  }
  const groupTexts = Math.min(JOB_TEXTS, handle.maxQueue)
  const work = { method, text: (text: string) => text, groupTexts, send, signal, onProgress }
  return resultsOf(stream(texts, work))
}

async function* resultsOf<Result>(
  streamed: AsyncIterable<{ result: Result }>,
): AsyncGenerator<Result, void, undefined> {
  for await (const { result } of streamed) yield result
}

/** The checks of a stream: those of a call, without what only a call has. */
export function streamChecks<Options extends RequestOptions>(checks: Checks<Options>): Checks<StreamOptions<Options>> {
  const { deadline: _, ...rest } = checks
  return { ...rest, purpose: oneOf(['query', 'document']) } as Checks<StreamOptions<Options>>
}
