/** What the classes that make one thing of a text share, but for what it is: calls for queries and documents, and streams. */
import type { Errand } from './batch.js'
import type { Rows } from './binding.js'
import type { Sink } from './call.js'
import { embeddings, streamChecks } from './embeddings.js'
import type { Handle } from './handle.js'
import { handleOf, Model } from './model.js'
import { callback, type Checks, oneOf, prompt, readOptions } from './options.js'
import { errandOf, promptOf, requestChecks, run } from './requests.js'
import { copyTexts } from './texts.js'
import type { RequestOptions, SparseOptions, StreamOptions, WithUsage } from './types.js'

type Purpose = 'query' | 'document'

/** How a class reads texts, and what it makes of them. */
export interface Reading<Options> {
  readonly checks: Checks<Options>
  /** What the texts of a stream are for, where its options are silent. */
  readonly streamed?: Purpose
  /** The errand of a call, or of a stream, with these options. */
  errand(handle: Handle, options: Options, purpose?: Purpose): Errand
  /** Gathers the results of `total` texts; `single` if the user gave one text alone. */
  sink(handle: Handle, total: number, single: boolean): Sink<Rows, unknown>
}

/** A call; `method` is the name that messages give. */
let encode: <Result, Options extends RequestOptions>(
  model: Encoder<Result, Options>,
  method: string,
  given: unknown,
  asked: unknown,
  purpose?: Purpose,
) => Promise<unknown>

/** A loaded model that makes a `Result` of a text. */
export abstract class Encoder<Result, Options extends RequestOptions> extends Model {
  readonly #reading: Reading<Options>

  protected constructor(name: string, handle: Handle, key: unknown, reading: Reading<Options>) {
    super(name, handle, key)
    this.#reading = reading
  }

  /**
   * Embeds search queries: with what the model's files put before a query, if anything, and as long as they say. One text
   * gives one result, an array gives an array in its order.
   *
   * @throws ERR_PROMPT, ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  async embedQuery(text: string, options?: Options): Promise<WithUsage<Result>>
  async embedQuery(texts: readonly string[], options?: Options): Promise<WithUsage<Result[]>>
  async embedQuery(texts: string | readonly string[], options?: Options): Promise<unknown> {
    return encode(this, 'embedQuery', texts, options, 'query')
  }

  /** Like `embedQuery`, for texts to be found: with what the model's files put before a document, if anything. */
  async embedDocument(text: string, options?: Options): Promise<WithUsage<Result>>
  async embedDocument(texts: readonly string[], options?: Options): Promise<WithUsage<Result[]>>
  async embedDocument(texts: string | readonly string[], options?: Options): Promise<unknown> {
    return encode(this, 'embedDocument', texts, options, 'document')
  }

  /**
   * Embeds the texts of an iterable as they come, as `Embedder.embedStream` does; a `MultiVectorEmbedder` reads documents,
   * unless `purpose` says otherwise.
   *
   * @throws As `embedQuery`, and what the source throws
   */
  embedStream(
    texts: Iterable<string> | AsyncIterable<string>,
    options?: StreamOptions<Options>,
  ): AsyncGenerator<Result, void, undefined> {
    const [handle, method, reading] = [handleOf(this), 'embedStream', this.#reading]
    const read = readOptions<StreamOptions<RequestOptions>>(method, options, streamChecks(reading.checks))
    const { purpose = reading.streamed, signal, onProgress, ...rest } = read
    const errand = reading.errand(handle, { priority: 'background', ...rest } as Options, purpose)
    const sink = (count: number): Sink<Rows, unknown> => reading.sink(handle, count, false)
    return embeddings(handle, method, texts, { errand, sink, signal, onProgress })
  }

  static {
    encode = async (model, method, given, asked, purpose) => {
      const [handle, reading] = [handleOf(model), model.#reading]
      const options = readOptions(method, asked, reading.checks)
      const texts = copyTexts(method, given)
      const errand = reading.errand(handle, options, purpose)
      const sink = reading.sink(handle, texts.length, typeof given === 'string')
      return run({ handle, method, texts, sink, options, errand })
    }
  }
}

/** One that also takes texts as they are, and prompts. */
export abstract class PromptedEncoder<Result> extends Encoder<Result, SparseOptions> {
  protected constructor(name: string, handle: Handle, key: unknown, sink: Reading<SparseOptions>['sink']) {
    super(name, handle, key, { checks, errand, sink })
  }

  /**
   * Embeds texts as they are, or after `options.prompt`. One text gives one result, an array gives an array in its order.
   *
   * @throws ERR_PROMPT, ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
   */
  async embed(text: string, options?: SparseOptions): Promise<WithUsage<Result>>
  async embed(texts: readonly string[], options?: SparseOptions): Promise<WithUsage<Result[]>>
  async embed(
    texts: string | readonly string[],
    options?: SparseOptions,
  ): Promise<WithUsage<Result> | WithUsage<Result[]>>
  async embed(texts: string | readonly string[], options?: SparseOptions): Promise<unknown> {
    return encode(this, 'embed', texts, options)
  }
}

const checks: Checks<SparseOptions> = {
  prompt,
  onOverflow: oneOf(['truncate', 'error', 'chunk']),
  ...requestChecks,
  onProgress: callback,
}

function errand(
  handle: Handle,
  { prompt, onOverflow: overflow, truncationSide, priority }: SparseOptions,
  purpose?: Purpose,
): Errand {
  return errandOf(handle, { ...promptOf(handle, prompt, purpose), overflow, truncationSide, priority })
}
