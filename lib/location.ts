/** From what a user names to what the engine opens: the folder of a model that came as an npm package, and no archive. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, isAbsolute, join, resolve } from 'node:path'

import { outsideArchive } from './archive.js'
import { ModelError } from './errors.js'

/** `name` or `@scope/name`. A name of a hub, `org/name`, is neither. */
const PACKAGE = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/

/** What is a path wherever it leads. */
const PATH = /^\.{0,2}([\\/]|$)/

/**
 * The folder of an installed model package, the whole path of a folder, which wins, or a name as it is. The engine looks on
 * another thread, later: the working directory is that of the call.
 */
export function located(model: string): string {
  const there = existsSync(model)
  const folder = PACKAGE.test(model) && !there ? packaged(model) : undefined
  return outsideArchive(folder ?? (there || PATH.test(model) ? absolute(model) : model))
}

/** A path as it is seen from the working directory; throws ERR_SETTINGS where that was removed. */
export function absolute(path: string): string {
  const from = isAbsolute(path) ? '' : workingFolder()
  if (from !== undefined) return resolve(from, path)
  const remedy = 'Pass an absolute path, or let the process work in a folder that is there.'
  throw new ModelError('ERR_SETTINGS', `The working directory, from which ${path} is seen, was removed. ${remedy}`)
}

/** The working directory; undefined where it was removed. */
export function workingFolder(): string | undefined {
  try {
    return process.cwd()
  } catch (error) {
    if (Object(error).code === 'ENOENT') return undefined
    throw error
  }
}

/** What `scripts/model-package.mjs` writes into a package.json. */
interface ModelPackage {
  'embed-native'?: { model?: unknown }
}

function packaged(name: string): string | undefined {
  const manifest = resolvePackage(`${name}/package.json`)
  if (manifest === undefined) {
    if (!name.startsWith('@')) return undefined
    const message = `${name} is no folder, and no package of that name is installed: npm install ${name}`
    throw new ModelError('ERR_MODEL_NOT_FOUND', message)
  }
  const { 'embed-native': about } = JSON.parse(readFileSync(manifest, 'utf8')) as ModelPackage
  if (typeof about?.model === 'string') return join(dirname(manifest), about.model)
  const message = `The package ${name} holds no model: its package.json has no "embed-native": { "model": folder }`
  throw new ModelError('ERR_MODEL_NOT_FOUND', message)
}

/** A file of a package, looked for from the working directory and from this package; undefined where it is not installed. */
export function resolvePackage(file: string): string | undefined {
  for (const from of [workingFolder(), here()]) {
    if (from === undefined) continue
    try {
      return createRequire(join(from, 'from.js')).resolve(file)
    } catch (error) {
      const { code } = Object(error) as { code?: unknown }
      if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_PACKAGE_PATH_NOT_EXPORTED') throw error
    }
  }
  return undefined
}

/** This file's folder; a bundler may have made an ES module of it, which has none. */
function here(): string | undefined {
  return typeof __dirname === 'string' ? __dirname : undefined
}
