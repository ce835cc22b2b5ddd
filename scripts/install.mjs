/** Brings node_modules to what package-lock.json says, only where it is not there yet. */
import { stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'

import { isMain, main, root, run, step } from './steps.mjs'

/** Written by npm at the end of each install: its age is the age of node_modules. */
const RECORD = join(root, 'node_modules', '.package-lock.json')

/** Whether node_modules is absent or older than the lock file. Pure: takes the two times in ms. */
export function isStale(lockTime, recordTime) {
  return recordTime === undefined || recordTime < lockTime
}

async function modified(file) {
  try {
    return (await stat(file)).mtimeMs
  } catch {
    return undefined
  }
}

/** The step. */
export function install() {
  return step('dependencies', async () => {
    const lockTime = await modified(join(root, 'package-lock.json'))
    if (!isStale(lockTime ?? 0, await modified(RECORD))) return 'already installed'
    // An interrupted install leaves no record, and `npm ci` removes what it left.
    await run('npm', ['ci', '--no-audit', '--no-fund'])
    const now = new Date()
    await utimes(RECORD, now, now)
    return 'npm ci'
  })
}

if (isMain(import.meta)) await main(install)
