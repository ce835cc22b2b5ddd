/**
 * Packs what is published: the package itself, and one platform package for each binary that lies beside index.ts (or in
 * `--binaries <folder>`), those with CUDA's kernels included, which no other package asks for. Nothing is published here.
 *
 *     node scripts/pack.mjs [--binaries <folder>] [--all] [--out <folder>]     prints the archives
 *
 * `--all` fails where a target has no binary; GITHUB_REPOSITORY becomes the `repository` that npm's provenance asks for.
 */
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { checkFloor } from './floor.mjs'
import { StepFailed, isMain, main, root, run, step } from './steps.mjs'
import { EXTRAS, TARGETS, binaryOf, packageOf } from './targets.mjs'

/** What the published package.json says, from the repository's. Pure. */
export function publishedManifest(manifest, repository) {
  const { devDependencies: _, scripts: __, files: ___, ...kept } = manifest
  const platforms = Object.keys(TARGETS).map((target) => [packageOf(target), manifest.version])
  // Said, it saves Node a guess; here it would make CommonJS of the TypeScript beside it.
  return { ...kept, type: 'commonjs', ...provenance(repository), optionalDependencies: Object.fromEntries(platforms) }
}

/** The package.json of a target's package. Pure. */
export function platformManifest(target, manifest, repository) {
  const { os, cpu, libc } = TARGETS[target] ?? EXTRAS[target]
  return {
    name: packageOf(target),
    version: manifest.version,
    description: `The native binary of ${manifest.name} for ${target}`,
    license: manifest.license,
    main: binaryOf(target),
    files: [binaryOf(target)],
    engines: manifest.engines,
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    ...provenance(repository),
  }
}

function provenance(repository) {
  return repository ? { repository: { type: 'git', url: `git+https://github.com/${repository}.git` } } : {}
}

const json = (value) => `${JSON.stringify(value, undefined, 2)}\n`
const repository = process.env.GITHUB_REPOSITORY

/**
 * Packs all, and puts the archives into the folder `out`, beside what it holds.
 *
 * @param {{ out: string, binaries?: string, all?: boolean, checkFloors?: boolean }} options
 * @returns {Promise<string[]>} the archives, the package itself first
 */
export async function pack({ out, ...options }) {
  await mkdir(out, { recursive: true }).catch(({ message }) => {
    throw new StepFailed(`${out} cannot be the folder of the archives: ${message}`, '')
  })
  const work = await mkdtemp(join(tmpdir(), 'embed-native-pack-'))
  try {
    const made = await packInto(work, options)
    const archives = made.map((archive) => join(out, basename(archive)))
    await Promise.all(made.map((archive, i) => copyFile(archive, archives[i])))
    return archives
  } finally {
    await rm(work, { recursive: true })
  }
}

async function packInto(out, { binaries = root, all = false, checkFloors = false }) {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const archives = [await packFace(out, manifest)]
  for (const target of Object.keys(TARGETS)) {
    const binary = join(binaries, binaryOf(target))
    if (existsSync(binary)) {
      if (checkFloors) await checkFloor(binary)
      archives.push(await packPlatform(target, binary, { out, manifest }))
    } else if (all) throw new StepFailed(`${binary} is not there`, '')
  }
  for (const target of Object.keys(EXTRAS)) {
    const binary = join(binaries, binaryOf(target))
    if (existsSync(binary)) archives.push(await packPlatform(target, binary, { out, manifest }))
  }
  return archives
}

/** npm packs the files that package.json lists; then package.json changes, and npm packs them again. */
async function packFace(out, manifest) {
  const first = await packed(root, out)
  await run('tar', ['-xzf', basename(first)], { cwd: out })
  await rm(first)
  const stage = join(out, 'package')
  await writeFile(join(stage, 'package.json'), json(publishedManifest(manifest, repository)))
  return finish(stage, out)
}

async function packPlatform(target, binary, { out, manifest }) {
  const stage = join(out, 'package')
  await mkdir(stage)
  await copyFile(binary, join(stage, binaryOf(target)))
  await copyFile(join(root, 'LICENSE'), join(stage, 'LICENSE'))
  await copyFile(join(root, 'NOTICE'), join(stage, 'NOTICE'))
  await writeFile(join(stage, 'package.json'), json(platformManifest(target, manifest, repository)))
  const how =
    target in EXTRAS
      ? 'Install it beside that package: `docs/accelerators.md` there.'
      : 'npm installs it by itself where it fits.'
  const words = `The native binary of \`${manifest.name}\` for ${target}. ${how}\n`
  await writeFile(join(stage, 'README.md'), `# ${packageOf(target)}\n\n${words}`)
  return finish(stage, out)
}

async function finish(stage, out) {
  const archive = await packed(stage, out)
  await rm(stage, { recursive: true })
  return archive
}

async function packed(folder, out) {
  const inner = join(out, 'packing')
  await mkdir(inner)
  await run('npm', ['pack', '--silent', '--ignore-scripts', '--pack-destination', inner], { cwd: folder })
  const [name] = await readdir(inner)
  await rename(join(inner, name), join(out, name))
  await rm(inner, { recursive: true })
  return join(out, name)
}

if (isMain(import.meta)) {
  await main(async () => {
    const flags = {
      binaries: { type: 'string' },
      all: { type: 'boolean' },
      out: { type: 'string' },
      floors: { type: 'boolean' },
    }
    const { values } = parseArgs({ options: flags })
    const out = resolve(values.out ?? join(root, 'target', 'packages'))
    await step('pack', async () => {
      const archives = await pack({ ...values, out, checkFloors: values.floors })
      return archives.map((archive) => basename(archive)).join(', ')
    })
  })
}
