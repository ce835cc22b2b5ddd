import type { CountOptions, EmbedOptions, LoadOptions, Match, ModelInfo, OutputName, Ranked, RerankOptions, SearchOptions, Several, Single, WithUsage } from './lib/types.js';
export { ModelError } from './lib/errors.js';
export type { CountOptions, Device, EmbedOptions, ErrorCode, LoadOptions, Match, Matrix, ModelInfo, OutputName, Progress, Ranked, RerankOptions, SearchOptions, Several, Single, Usage, Vector, WithUsage, } from './lib/types.js';
/** This package's version. */
export declare const version: string;
/**
 * A loaded model. Calls made in one turn of the event loop share a batch; a large call is cut into parts and never blocks
 * the event loop. Equal texts give equal bits, alone or in any batch (`info.batchInvariant`).
 */
export declare class Embedder {
    #private;
    /** What is known about the model. Frozen. */
    readonly info: ModelInfo;
    /** Frees the model, as `dispose` does. */
    readonly [Symbol.dispose]: () => void;
    /** Frees the model, and resolves when the calls under way have ended. */
    readonly [Symbol.asyncDispose]: () => Promise<void>;
    private constructor();
    /**
     * Opens a model. Files are read on another thread, and closed again; models loaded twice share their weights.
     *
     * @param model A folder in the layout of sentence-transformers (config.json, model.safetensors, tokenizer.json, …).
     *   A name, such as the default all-MiniLM-L6-v2, is ERR_MODEL_NOT_FOUND in this version, which downloads nothing.
     * @throws ERR_MODEL_NOT_FOUND, ERR_MODEL_FILE, ERR_MODEL_UNSUPPORTED, ERR_TOKENIZER, ERR_DEVICE, ERR_UNSUPPORTED,
     *   ERR_BINDING, ERR_SETTINGS, ERR_MEMORY
     */
    static load(model?: string, options?: LoadOptions): Promise<Embedder>;
    /**
     * Embeds texts as they are, or after `options.prompt`. One text gives one vector of `info.dims` numbers, an array gives
     * an array in its order; `options.output` chooses other forms. The result's `usage` says how many tokens were computed
     * and which texts were cut.
     *
     * @throws ERR_PROMPT, ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
     */
    embed<Output extends OutputName = 'float32'>(text: string, options?: EmbedOptions<Output>): Promise<Single[Output]>;
    embed<Output extends OutputName = 'float32'>(texts: readonly string[], options?: EmbedOptions<Output>): Promise<Several[Output]>;
    embed<Output extends OutputName = 'float32'>(texts: string | readonly string[], options?: EmbedOptions<Output>): Promise<Single[Output] | Several[Output]>;
    /** Like `embed`, for search queries: with the model's query prompt where it has one, and none otherwise. */
    embedQuery<Output extends OutputName = 'float32'>(text: string, options?: EmbedOptions<Output>): Promise<Single[Output]>;
    embedQuery<Output extends OutputName = 'float32'>(texts: readonly string[], options?: EmbedOptions<Output>): Promise<Several[Output]>;
    embedQuery<Output extends OutputName = 'float32'>(texts: string | readonly string[], options?: EmbedOptions<Output>): Promise<Single[Output] | Several[Output]>;
    /** Like `embed`, for texts to be found: with the model's document prompt where it has one, and none otherwise. */
    embedDocument<Output extends OutputName = 'float32'>(text: string, options?: EmbedOptions<Output>): Promise<Single[Output]>;
    embedDocument<Output extends OutputName = 'float32'>(texts: readonly string[], options?: EmbedOptions<Output>): Promise<Several[Output]>;
    embedDocument<Output extends OutputName = 'float32'>(texts: string | readonly string[], options?: EmbedOptions<Output>): Promise<Single[Output] | Several[Output]>;
    /** Counts tokens, special ones included, before any cutting: a text of more than `info.maxLength` would be cut. */
    countTokens(text: string, options?: CountOptions): Promise<number>;
    countTokens(texts: readonly string[], options?: CountOptions): Promise<number[]>;
    countTokens(texts: string | readonly string[], options?: CountOptions): Promise<number | number[]>;
    /** `similarity` of this module, at hand. */
    similarity(a: Float32Array, b: Float32Array): number;
    /** `topK` of this module, at hand. */
    topK(query: Float32Array, vectors: Float32Array | readonly Float32Array[], k: number, options?: SearchOptions): Promise<Match[]>;
    /** Whether `dispose` was called. */
    get disposed(): boolean;
    /** Frees the model once the calls under way have ended; new calls reject with ERR_DISPOSED. Twice is as good as once. */
    dispose(): void;
}
/**
 * A loaded cross-encoder: it reads a query and a document together and scores how well they fit. Slower than comparing
 * vectors and better: embed to find a hundred candidates, rerank to find the best of them.
 */
export declare class Reranker {
    #private;
    /** What is known about the model. Frozen. */
    readonly info: ModelInfo;
    /** Frees the model, as `dispose` does. */
    readonly [Symbol.dispose]: () => void;
    /** Frees the model, and resolves when the calls under way have ended. */
    readonly [Symbol.asyncDispose]: () => Promise<void>;
    private constructor();
    /**
     * Opens a cross-encoder with one label, or an embedding model with `options.adapter`, a LoRA adapter that makes it one.
     *
     * @param model A folder in the layout of transformers (config.json, model.safetensors, tokenizer.json, …).
     * @throws As `Embedder.load`
     */
    static load(model: string, options?: LoadOptions): Promise<Reranker>;
    /**
     * Scores documents against a query: best first, in a tie the one that came first. Pairs that are too long are cut, the
     * longer text first; the result's `usage.truncated` names the documents whose pair was.
     *
     * @param documents Strings, or objects with a `text` (or what `options.text` says).
     * @throws ERR_TEXT_TOO_LONG, ERR_NOT_FINITE, ERR_MEMORY, ERR_DISPOSED
     */
    rerank<Document>(query: string, documents: readonly Document[], options?: RerankOptions<Document>): Promise<WithUsage<Ranked<Document>[]>>;
    /** Whether `dispose` was called. */
    get disposed(): boolean;
    /** Frees the model once the calls under way have ended; new calls reject with ERR_DISPOSED. Twice is as good as once. */
    dispose(): void;
}
/**
 * The cosine of the angle between two vectors, -1 to 1; higher is closer.
 *
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError), ERR_BINDING
 */
export declare function similarity(a: Float32Array, b: Float32Array): number;
/**
 * The `k` rows of `vectors` that are closest to `query` by cosine, best first; in a tie the lower index is first. Exact:
 * every row is compared. Fewer rows than `k` give fewer matches. Do not write to `vectors` before the promise settles.
 *
 * @param query One vector.
 * @param vectors A matrix (rows of `query.length` numbers in one Float32Array), or an array of vectors.
 * @throws ERR_INVALID_ARGUMENT (TypeError or RangeError), ERR_BINDING
 */
export declare function topK(query: Float32Array, vectors: Float32Array | readonly Float32Array[], k: number, options?: SearchOptions): Promise<Match[]>;
/**
 * The instruction sets that this machine can run, slowest first. A model uses the last one, unless the environment
 * variable EMBED_NATIVE_ISA names another when the first model is loaded. Vectors differ between them in the last bits.
 *
 * @throws ERR_BINDING
 */
export declare function kernels(): string[];
