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
  // A small trained cross-encoder, for evaluation only: see the README.md beside it.
  const adapter = join(root, '__test__', 'data', 'adapters', 'minilm-l6-scifact-reranker')
  process.exitCode = await show(process.execPath, [join(root, 'examples', 'search.mjs'), folder, adapter])
})
