/**
 * Where the native binary may be: beside this package, after a build from source, or in the platform package that npm chose.
 * Each path stands in a literal `require` of its own `try`: bundlers trace the first, and forgive the second when it is not
 * installed. On Linux the binary for the other C library fails to load, and the next is tried.
 *
 * Where NVIDIA's GPUs are used, a second binary is, which holds the first and CUDA's kernels.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { resolvePackage } from './location.js'

/** Tries one machine's candidates in turn; what each failed with goes to `failed`. */
type Search = (failed: (error: unknown) => void) => unknown

/** By platform and processor. */
export const CANDIDATES: Readonly<Record<string, Search>> = {
  'linux-x64': (failed) => {
    try {
      return require('../embed-native.linux-x64-gnu.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('../embed-native.linux-x64-musl.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-linux-x64-gnu')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-linux-x64-musl')
    } catch (error) {
      failed(error)
    }
  },
  'linux-arm64': (failed) => {
    try {
      return require('../embed-native.linux-arm64-gnu.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('../embed-native.linux-arm64-musl.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-linux-arm64-gnu')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-linux-arm64-musl')
    } catch (error) {
      failed(error)
    }
  },
  'darwin-x64': (failed) => {
    try {
      return require('../embed-native.darwin-x64.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-darwin-x64')
    } catch (error) {
      failed(error)
    }
  },
  'darwin-arm64': (failed) => {
    try {
      return require('../embed-native.darwin-arm64.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-darwin-arm64')
    } catch (error) {
      failed(error)
    }
  },
  'win32-x64': (failed) => {
    try {
      return require('../embed-native.win32-x64-msvc.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-win32-x64-msvc')
    } catch (error) {
      failed(error)
    }
  },
  'win32-arm64': (failed) => {
    try {
      return require('../embed-native.win32-arm64-msvc.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-win32-arm64-msvc')
    } catch (error) {
      failed(error)
    }
  },
}

/** The binaries with CUDA's kernels, likewise. */
const CUDA_CANDIDATES: Readonly<Record<string, Search>> = {
  'linux-x64': (failed) => {
    try {
      return require('../embed-native.linux-x64-gnu-cuda.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-linux-x64-gnu-cuda')
    } catch (error) {
      failed(error)
    }
  },
  'win32-x64': (failed) => {
    try {
      return require('../embed-native.win32-x64-msvc-cuda.node')
    } catch (error) {
      failed(error)
    }
    try {
      return require('@x/embed-native-win32-x64-msvc-cuda')
    } catch (error) {
      failed(error)
    }
  },
}

/** By platform and processor: what the binary with CUDA's kernels is called. */
const CUDA_TARGETS: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64-gnu-cuda',
  'win32-x64': 'win32-x64-msvc-cuda',
}

/** This machine's binary with CUDA's kernels: the search for it, if it is installed; nothing is opened. */
export function cudaCandidate(): { readonly search: Search | undefined } | undefined {
  const machine = `${process.platform}-${process.arch}`
  const target = CUDA_TARGETS[machine]
  if (target === undefined) return undefined
  // A bundler may have made an ES module of this, which has no folder; then only a package can be there.
  const beside = typeof __dirname === 'string' && existsSync(join(__dirname, '..', `embed-native.${target}.node`))
  const installed = beside || resolvePackage(`@x/embed-native-${target}/package.json`) !== undefined
  return { search: installed ? CUDA_CANDIDATES[machine] : undefined }
}
