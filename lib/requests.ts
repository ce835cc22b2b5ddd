/** What all methods share, between the face and the batches: open a model, make a call, wait for it. */
import { type Errand, submit } from './batch.js'
import { Call, type Request } from './call.js'
import { describe } from './describe.js'
import type { NativeEmbedOptions } from './binding.js'
import { argumentError, ModelError } from './errors.js'
import { type Handle, load } from './handle.js'
import type { Task } from './models-types.js'
import {
  callback,
  type Checks,
  device,
  flag,
  oneOf,
  readOptions,
  secret,
  signal,
  someOf,
  wholeNumber,
  word,
} from './options.js'
import { CHECKED_PER_TURN, checkTexts, MAX_TEXTS } from './texts.js'
import type { CacheOptions, HubOptions, LoadOptions, RequestOptions } from './types.js'

/** Where the cache is. */
export const cacheChecks: Checks<CacheOptions> = {
  cacheDir: word,
  source: oneOf(['huggingface', 'modelscope']),
}

/** Where a model comes from. */
export const hubChecks: Checks<HubOptions> = {
  ...cacheChecks,
  revision: word,
  offline: flag,
  token: secret,
  endpoint: word,
}

/** How a model is loaded. */
export const loadChecks: Checks<LoadOptions> = {
  ...hubChecks,
  backend: oneOf(['native', 'candle', 'onnx']),
  device,
  dtype: oneOf(['auto', 'f32', 'bf16', 'f16', 'int8']),
  providers: someOf(['cuda', 'tensorrt', 'coreml', 'directml', 'openvino', 'cpu']),
  threads: wholeNumber(1, 1024),
  maxLength: wholeNumber(1, 2 ** 31 - 1),
  maxBatch: wholeNumber(1, MAX_TEXTS),
  pooling: oneOf(['mean', 'cls', 'max', 'lasttoken', 'mean_sqrt_len_tokens', 'weightedmean']),
  adapter: word,
  onnxFile: word,
  maxQueue: wholeNumber(1, MAX_TEXTS),
  onProgress: callback,
  signal,
}

/** Opens a model; `method` is the name that messages give. */
export async function open(task: Task, method: string, model: unknown, options: unknown): Promise<Handle> {
  if (typeof model !== 'string' || model === '') {
    throw argumentError(`${method}: expected a model's folder or name, got ${describe(model)}`)
  }
  return load(task, model, readOptions(method, options, loadChecks))
}

/** What calls that compute share. */
export const requestChecks: Checks<RequestOptions> = {
  truncationSide: oneOf(['right', 'left']),
  priority: oneOf(['interactive', 'background']),
  deadline: wholeNumber(1, 2 ** 31 - 1),
  signal,
}

/** Starts a call. Few texts are on their way before this returns, so that they join the other calls of this turn. */
export function run<Batch, Result>(request: Request<Batch, Result>): Promise<Result> {
  const call = new Call(request)
  if (request.patient || request.texts.length > CHECKED_PER_TURN) void startInTurns(call, request)
  else start(call, request)
  return call.promise
}

/** For few texts: those are checked at once. */
function start<Batch, Result>(call: Call<Batch, Result>, request: Request<Batch, Result>): void {
  try {
    call.enter()
    checkTexts(request.method, request.texts)
    send(call, request)
  } catch (error) {
    call.fail(error)
  }
}

/** For those who wait for room, and for many texts. */
async function startInTurns<Batch, Result>(call: Call<Batch, Result>, request: Request<Batch, Result>): Promise<void> {
  const { handle, method, texts, patient } = request
  try {
    while (patient && !handle.hasRoom(texts.length)) await handle.roomier()
    call.enter()
    await checkTexts(method, texts)
    send(call, request)
  } catch (error) {
    call.fail(error)
  }
}

function send<Batch, Result>(call: Call<Batch, Result>, { errand }: Request<Batch, Result>): void {
  call.begin()
  if (!call.ended) submit(call, errand)
}

/** The errand of running texts through a model with these options. */
export function errandOf(handle: Handle, native: NativeEmbedOptions): Errand {
  return {
    key: `embed ${handle.id} ${JSON.stringify(native)}`,
    send: (engine, job, part, line) => engine.embed(job, line, handle.native, part, native),
  }
}

/** What stands before texts: the prompt that was asked for, else the model's own for a purpose. */
export function promptOf(
  handle: Handle,
  asked: string | { readonly text: string } | undefined,
  purpose: string | undefined,
): NativeEmbedOptions {
  if (asked === undefined) return { purpose }
  if (typeof asked !== 'string') return { promptText: asked.text, purpose }
  checkPromptName(handle, asked)
  return { prompt: asked, purpose }
}

function checkPromptName({ info }: Handle, name: string): void {
  if (Object.hasOwn(info.prompts, name)) return
  const known = Object.keys(info.prompts)
  const has = known.length > 0 ? `It has: ${known.join(', ')}.` : 'It has none.'
  throw new ModelError('ERR_PROMPT', `${info.model} has no prompt named "${name}". ${has} Use { text } for your own.`)
}
