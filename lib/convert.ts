/** Making weights of one kind those of another. */
import { describe } from './describe.js'
import { argumentError } from './errors.js'
import { outcomeOf } from './handle.js'
import { absolute, located } from './location.js'
import { type Checks, flag, oneOf, readOptions, signal, word } from './options.js'
import type { Converted, ConvertOptions } from './types.js'

const checks: Checks<ConvertOptions> = {
  output: word,
  dtype: oneOf(['f32', 'bf16', 'int8']),
  smallTables: flag,
  signal,
}

/**
 * Makes safetensors of a folder's pickles (`pytorch_model.bin`, bge-m3's `.pt`) without running them, or weights in fewer bits,
 * which load with that `dtype` to the same bits as the original does. On a thread of its own.
 *
 * ```ts
 * await convert('./bge-m3') // safetensors beside the pickles
 * await convert('./bge-m3', { dtype: 'int8', output: './bge-m3-int8' }) // a quarter of the size
 * ```
 *
 * @param folder A model's folder, of a model by name the one that `download` gives. What is in it is left as it is.
 * @throws ERR_MODEL_FILE for a pickle that holds or asks for anything but tensors; ERR_INVALID_ARGUMENT for an output that is
 * there, or can be no folder; ERR_MODEL_NOT_FOUND, ERR_MODEL_UNSUPPORTED (also for fewer bits of an adapter), ERR_DISK, ERR_BINDING
 */
export async function convert(folder: string, options?: ConvertOptions): Promise<Converted> {
  if (typeof folder !== 'string' || folder === '') {
    throw argumentError(`convert: expected a model's folder, got ${describe(folder)}`)
  }
  const { signal, output, ...rest } = readOptions<ConvertOptions>('convert', options, checks)
  const place = located(folder)
  const wanted = JSON.stringify({ ...rest, output: output && absolute(output) })
  const outcome = await outcomeOf((engine, job) => engine.convert(job, place, wanted), { signal })
  return JSON.parse(outcome as string) as Converted
}
