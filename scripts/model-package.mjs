/**
 * Makes an npm package of a model's folder, so that an app ships its model with `npm install`, and `Embedder.load(<package>)`
 * finds it without a network.
 *
 *     node scripts/model-package.mjs <folder> --name <package> --license <SPDX> --source <where it is from> [--version 1.0.0]
 *         [--dtype int8|bf16 [--small-tables]] [--out <folder>]
 *
 * With a dtype the weights are converted first, which needs the library built (`npm run build`): a fourth or half of the bytes.
 * The package holds what the library reads and no more: the model's files, its card, its licence, and SHA256SUMS over all of
 * them (`sha256sum -c SHA256SUMS`). It depends on nothing.
 */
import { copyFile, mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { parseArgs } from 'node:util'

import { sha256 } from './cache.mjs'
import { StepFailed, isMain, main, root, run, step } from './steps.mjs'

/** What the library reads; what else a model's folder holds, weights of other frameworks above all, stays behind. */
const READ = /^(\d+_[^/]+\/)?(config\.json|[^/]*\.safetensors(\.index\.json)?|tokenizer\.json)$/
const DESCRIBED =
  /^(modules|sentence_bert_config|config_sentence_transformers|tokenizer_config|special_tokens_map|added_tokens|adapter_config)\.json$/
const PAPERS = /^(README\.md|LICEN[CS]E(\.\w+)?|NOTICE(\.\w+)?)$/i

/** Whether a file of a model's folder, by its path with slashes, goes into the package. */
export function belongs(path) {
  return READ.test(path) || DESCRIBED.test(path)
}

/** The package.json. Pure. */
export function manifest({ name, version, license, source }) {
  return {
    name,
    version,
    description: `The model ${source} for @x/embed-native`,
    keywords: ['embeddings', 'model', 'embed-native'],
    license,
    files: ['model', 'SHA256SUMS', 'LICENSE*', 'NOTICE*'],
    exports: { './package.json': './package.json' },
    'embed-native': { model: 'model', source },
  }
}

/** The page of a model that came without a card. */
function card({ name, license, source }) {
  const use = `\`\`\`js\nimport { Embedder } from '@x/embed-native'\n\nconst embedder = await Embedder.load('${name}')\n\`\`\``
  return `# ${name}\n\nThe model ${source}, for \`@x/embed-native\`, which finds it without a network:\n\n${use}\n\nLicence of the model: ${license}. \`sha256sum -c SHA256SUMS\` checks its files.\n`
}

/**
 * Packs a model.
 *
 * @param {{ folder: string, name: string, version?: string, license: string, source: string, out: string,
 *     dtype?: 'int8' | 'bf16' | 'f32', smallTables?: boolean }} model
 * @returns {Promise<string>} the archive
 */
export async function packModel({ dtype, smallTables, ...model }) {
  if (dtype === undefined) return packFolder(model)
  const output = join(model.out, 'model-converted')
  await rm(output, { recursive: true, force: true })
  const { convert } = await import('@x/embed-native')
  try {
    await convert(model.folder, { output, dtype, smallTables })
    return await packFolder({ ...model, folder: output })
  } finally {
    await rm(output, { recursive: true, force: true })
  }
}

async function packFolder({ folder, version = '1.0.0', out, ...about }) {
  const stage = join(out, 'model-package')
  await rm(stage, { recursive: true, force: true })
  const paths = (await readdir(folder, { recursive: true })).map((path) => path.split(sep).join('/')).filter(belongs)
  for (const needed of ['config.json', 'tokenizer.json']) {
    if (!paths.includes(needed)) throw new StepFailed(`${folder} has no ${needed}: it is no model's folder`, '')
  }
  for (const path of paths) await put(join(folder, path), join(stage, 'model', path))
  for (const name of (await readdir(folder)).filter((name) => PAPERS.test(name))) {
    await put(join(folder, name), join(stage, name === 'README.md' ? join('model', name) : name))
  }
  await writeFile(join(stage, 'README.md'), card(about))
  await writeFile(join(stage, 'package.json'), `${JSON.stringify(manifest({ ...about, version }), undefined, 2)}\n`)
  await writeFile(join(stage, 'SHA256SUMS'), await sums(stage))
  const packed = await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', resolve(out)], {
    cwd: stage,
  })
  await rm(stage, { recursive: true })
  return join(out, packed.trim().split('\n').at(-1))
}

async function put(from, to) {
  await mkdir(dirname(to), { recursive: true })
  await copyFile(from, to)
}

async function sums(stage) {
  const paths = (await readdir(join(stage, 'model'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) =>
      relative(stage, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    )
  const lines = await Promise.all(paths.sort().map(async (path) => `${await sha256(join(stage, path))}  ${path}\n`))
  return lines.join('')
}

if (isMain(import.meta)) {
  await main(async () => {
    const text = { type: 'string' }
    const options = { name: text, version: text, license: text, source: text, out: text, dtype: text }
    options['small-tables'] = { type: 'boolean' }
    const { values, positionals } = parseArgs({ options, allowPositionals: true })
    const [folder] = positionals
    const lacking = ['name', 'license', 'source'].filter((name) => !values[name])
    if (!folder || lacking.length > 0) {
      console.error(`missing: ${[...(folder ? [] : ['<folder>']), ...lacking.map((name) => `--${name}`)].join(', ')}`)
      throw new StepFailed('see the head of this file', '')
    }
    const out = resolve(values.out ?? join(root, 'target', 'packages'))
    await mkdir(out, { recursive: true })
    await step('pack the model', async () => {
      const archive = await packModel({ ...values, smallTables: values['small-tables'], folder, out })
      return `${basename(archive)}, ${((await stat(archive)).size / 1e6).toFixed(1)} MB`
    })
  })
}
