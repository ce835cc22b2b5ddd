/** The chapters in `__test__` run one after the other, each in a process of its own, against the built package. */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    // Vite does not know self-references; this is what package.json's exports say.
    alias: { '@x/embed-native': fileURLToPath(new URL('dist/index.mjs', import.meta.url)) },
  },
  test: {
    include: ['__test__/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Node loads the package itself, as it does for users.
    server: { deps: { external: [/\/dist\/index\.[cm]js$/] } },
  },
})
