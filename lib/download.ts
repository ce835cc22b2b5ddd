/** Bringing a model's files to this machine without opening it. */
import { describe } from './describe.js'
import { argumentError } from './errors.js'
import { nativeOptions, outcomeOf } from './handle.js'
import { located } from './location.js'
import { readOptions } from './options.js'
import { hubChecks, loadChecks } from './requests.js'
import type { Checks } from './options.js'
import type { Downloaded, DownloadOptions } from './types.js'

const { backend, dtype, adapter, onnxFile, onProgress, signal } = loadChecks
const own = { backend, dtype, adapter, onnxFile, onProgress, signal }
const downloadChecks: Checks<DownloadOptions> = { ...hubChecks, ...own }

/**
 * Brings the files that `load` with the same options would read into the cache, checked, and opens nothing. What is there is
 * not downloaded again.
 *
 * ```ts
 * const { folder } = await download('sentence-transformers/all-MiniLM-L6-v2')
 * ```
 *
 * @param model A name as on the Hugging Face hub. A folder is given back, as its whole path.
 * @throws ERR_MODEL_NOT_FOUND, ERR_NETWORK, ERR_HTTP, ERR_AUTH, ERR_OFFLINE, ERR_INTEGRITY, ERR_DISK, ERR_SETTINGS, ERR_BINDING
 */
export async function download(model: string, options?: DownloadOptions): Promise<Downloaded> {
  if (typeof model !== 'string' || model === '') {
    throw argumentError(`download: expected a model's name, got ${describe(model)}`)
  }
  const { signal, onProgress, ...rest } = readOptions<DownloadOptions>('download', options, downloadChecks)
  const [place, native] = [located(model), nativeOptions(rest)]
  const outcome = await outcomeOf((engine, job) => engine.download(job, place, native), { signal, onProgress })
  return { ...(JSON.parse(outcome as string) as Downloaded), name: model }
}
