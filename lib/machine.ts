/** What this library finds on this machine. */
import { cpus, totalmem } from 'node:os'

import { binding, bindingFile } from './binding.js'
import { libc } from './libc.js'
import { onnxRuntimeLibrary } from './onnxruntime.js'
import type { Machine, Processor } from './types.js'

/**
 * What this library finds on this machine, and uses of it: for reports and questions to its authors. The command
 * `npx @x/embed-native doctor` shows it, and more.
 *
 * @throws ERR_BINDING
 */
export function machine(): Machine {
  const found = JSON.parse(binding().machine()) as Omit<Machine, 'version' | 'platform' | 'arch' | 'libc' | 'binary'>
  return {
    version: binding().version(),
    platform: process.platform,
    arch: process.arch,
    libc: libc()?.name ?? null,
    binary: bindingFile() ?? null,
    ...found,
    kernel: found.kernel ?? null,
    onnxRuntime: onnxRuntimeLibrary() ?? null,
  }
}

/**
 * The processors of this machine, each with whether a model can run on it, or why not. A kind of which there is none (`cuda`,
 * `metal`) stands there with the reason. NVIDIA's driver is asked at the first call.
 *
 * ```ts
 * for (const { device, usable, reason } of devices()) console.log(device, usable ? 'usable' : reason)
 * ```
 *
 * @throws ERR_BINDING
 */
export function devices(): Processor[] {
  const all = JSON.parse(binding().processors()) as Processor[]
  return all.map((one) => (one.device === 'cpu' ? { ...one, name: processorName(), memory: memory() } : one))
}

function processorName(): string | null {
  return cpus()[0]?.model.trim() || null
}

/** Bytes of memory that this process may use: the machine's, or its cgroup's limit where that is lower. */
export function memory(): number {
  // 0 or nothing where there is no limit, and more than there is where version 1 of cgroups has none.
  return Math.min(totalmem(), process.constrainedMemory() || Infinity)
}
