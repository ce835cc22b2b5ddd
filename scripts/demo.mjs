/** `npm run demo`: from a fresh clone to a working search, one line per step. */
import { join } from 'node:path'

import { build } from './build.mjs'
import { install } from './install.mjs'
import { model } from './model.mjs'
import { prerequisites } from './prerequisites.mjs'
import { main, root, show } from './steps.mjs'

await main(async () => {
  await prerequisites({ python: true })
  await install()
  await build()
  const folder = await model()
  process.exitCode = await show(process.execPath, [join(root, 'examples', 'search.mjs'), folder])
})
