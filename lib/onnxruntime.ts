/**
 * ONNX Runtime's library as npm's onnxruntime-node brings it, where the user has installed that package. Only its file is
 * used: its own binding runs on the JavaScript thread, and ends the process when a worker is terminated in mid-call.
 */
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { unpacked } from './archive.js'
import { absolute, resolvePackage } from './location.js'

const PACKAGE = 'onnxruntime-node'
/** The library itself, not its providers: libonnxruntime.so.1, libonnxruntime.1.dylib, onnxruntime.dll. */
const LIBRARY = /^(libonnxruntime\.(so(\.\d+)*|(\d+\.)*dylib)|onnxruntime\.dll)$/

/**
 * The file that ORT_DYLIB_PATH names, else that of the package, looked for from the working directory and from this package
 * upwards; undefined where there is none.
 */
export function onnxRuntimeLibrary(): string | undefined {
  const named = process.env.ORT_DYLIB_PATH
  return named ? absolute(named) : installed()
}

function installed(): string | undefined {
  const manifest = resolvePackage(`${PACKAGE}/package.json`)
  if (manifest === undefined) return undefined
  const bin = unpacked(join(dirname(manifest), 'bin'))
  // bin/napi-v6/linux/x64: the folder in the middle changes with the version.
  const folders = names(bin).map((version) => join(bin, version, process.platform, process.arch))
  const files = folders.flatMap((folder) => names(folder).map((name) => ({ name, path: join(folder, name) })))
  return files.find(({ name }) => LIBRARY.test(name))?.path
}

function names(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : []
}
