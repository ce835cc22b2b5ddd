/** The cache of models that came by name: what is in it, whether it is right, and how to make room. */
import { describe } from './describe.js'
import { argumentError } from './errors.js'
import { outcomeOf } from './handle.js'
import { absolute } from './location.js'
import { type Checks, readOptions, signal } from './options.js'
import { cacheChecks } from './requests.js'
import type { CachedModel, CacheToolOptions, DamagedFile } from './types.js'

/** Tools for the cache. They run on a thread of their own. */
export interface Cache {
  /** The models that are there, by name. @throws ERR_DISK, ERR_SETTINGS */
  list(options?: CacheToolOptions): Promise<CachedModel[]>
  /** Hashes all files of a model, or of all models; resolves with those that are damaged. @throws ERR_DISK, ERR_SETTINGS */
  verify(model?: string, options?: CacheToolOptions): Promise<DamagedFile[]>
  /** Removes a model; resolves with the bytes that were freed, 0 if it was not there. @throws ERR_DISK, ERR_SETTINGS */
  remove(model: string, options?: CacheToolOptions): Promise<number>
  /** Bytes of all models. @throws ERR_DISK, ERR_SETTINGS */
  size(options?: CacheToolOptions): Promise<number>
  /** Removes parts of downloads that ended an hour ago or more, and files that no snapshot shows; resolves with the bytes. */
  prune(options?: CacheToolOptions): Promise<number>
  /** The folder of the cache, which need not be there. @throws ERR_SETTINGS */
  folder(options?: CacheToolOptions): Promise<string>
}

/** Tools for the cache of models that came by name. */
export const cache: Cache = Object.freeze({
  list: async (options?: CacheToolOptions) => run<CachedModel[]>('list', null, options),
  verify: async (model?: string, options?: CacheToolOptions) =>
    run<DamagedFile[]>('verify', model === undefined ? null : named('verify', model), options),
  remove: async (model: string, options?: CacheToolOptions) => run<number>('remove', named('remove', model), options),
  size: async (options?: CacheToolOptions) => run<number>('size', null, options),
  prune: async (options?: CacheToolOptions) => run<number>('prune', null, options),
  folder: async (options?: CacheToolOptions) => run<string>('folder', null, options),
})

function named(tool: string, model: unknown): string {
  if (typeof model === 'string') return model
  throw argumentError(`cache.${tool}: expected a model's name, got ${describe(model)}`)
}

const checks: Checks<CacheToolOptions> = { ...cacheChecks, signal }

async function run<Found>(tool: string, model: string | null, given: unknown): Promise<Found> {
  const { signal, cacheDir, source } = readOptions<CacheToolOptions>(`cache.${tool}`, given, checks)
  const place = { cacheDir: cacheDir && absolute(cacheDir), source }
  return JSON.parse((await outcomeOf((engine, job) => engine.cache(job, tool, model, place), { signal })) as string)
}
