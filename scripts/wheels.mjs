/**
 * Libraries that PyPI carries, unpacked into one folder: CUDA's compiler and libraries, Intel's MKL. For machines that build and
 * have neither; what is installed is used where it is named. Versions are pinned, so that a build means the same tomorrow.
 */
import { existsSync, readdirSync, renameSync } from 'node:fs'
import { chmod, link, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

import { cacheFolder } from './cache.mjs'
import { findPython } from './prerequisites.mjs'
import { StepFailed, run } from './steps.mjs'

/** CUDA 13.0: its runtime needs a driver from 580 on. Compiler, headers, and what candle links against; 660 MB. */
export const CUDA = {
  name: 'cuda-13.0',
  packages: [
    'nvidia-cuda-nvcc==13.0.88',
    'nvidia-cuda-crt==13.0.88',
    'nvidia-nvvm==13.0.88',
    'nvidia-cuda-cccl==13.0.85',
    'nvidia-cuda-runtime==13.0.96',
    'nvidia-cuda-nvrtc==13.0.88',
    'nvidia-cublas==13.0.2.14',
    'nvidia-curand==10.4.0.35',
  ],
}

/** Intel's MKL, static; 300 MB. */
export const MKL = {
  name: 'mkl-2026.2',
  packages: ['mkl-static==2026.2.0', 'mkl-include==2026.2.0', 'intel-openmp==2026.2.0'],
}

const UNZIP = 'import sys, zipfile\nfor name in sys.argv[2:]: zipfile.ZipFile(name).extractall(sys.argv[1])'

/** Downloads and unpacks what is not there yet; `arrange` makes one folder of the unpacked ones. Gives that folder. */
async function provide({ name, packages }, arrange) {
  const root = join(cacheFolder(), name)
  if (existsSync(join(root, 'whole'))) return root
  const python = findPython()
  if (!python) throw new StepFailed('python3 and pip bring the libraries: install them, or name your own', '')
  const [program, ...words] = python
  await rm(root, { recursive: true, force: true })
  const [wheels, unpacked] = [join(root, 'wheels'), join(root, 'unpacked')]
  await mkdir(wheels, { recursive: true })
  await run(program, [...words, '-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', wheels, ...packages])
  const files = readdirSync(wheels).map((file) => join(wheels, file))
  await run(program, [...words, '-c', UNZIP, unpacked, ...files])
  await arrange(unpacked, root)
  for (const folder of [wheels, unpacked]) await rm(folder, { recursive: true })
  await writeFile(join(root, 'whole'), `${packages.join('\n')}\n`)
  return root
}

/** CUDA_HOME, or the toolkit from PyPI. */
export async function cudaToolkit(env = process.env) {
  return env.CUDA_HOME || env.CUDA_PATH || provide(CUDA, arrangeCuda)
}

/** As a toolkit lies on a disk: the linker looks for names without versions, and for a driver. */
async function arrangeCuda(unpacked, root) {
  const home = join(unpacked, 'nvidia', 'cu13')
  for (const name of readdirSync(home)) renameSync(join(home, name), join(root, name))
  for (const folder of ['bin', join('nvvm', 'bin')]) {
    for (const name of readdirSync(join(root, folder))) await chmod(join(root, folder, name), 0o755)
  }
  const libraries = join(root, 'lib')
  for (const name of readdirSync(libraries).filter((file) =>
    /^lib(cudart|cublas|cublasLt|curand|nvrtc)\.so\./.test(file),
  )) {
    await symlink(name, join(libraries, unversioned(name)))
  }
  await symlink('lib', join(root, 'lib64'))
  await driverStub(root, join(libraries, 'stubs'))
}

/**
 * A library of the driver's name with its functions, which do nothing: what a binary is linked against, where a toolkit has its
 * own. An empty one would not do: the linker forgets libraries that it takes no function from.
 */
async function driverStub(root, stubs) {
  await mkdir(stubs)
  const header = join(root, 'include', 'cuda.h')
  const compiler = process.env.CC ?? 'cc'
  const names = functions(
    (await readFile(header, 'utf8')) + (await run(compiler, ['-E', '-I', join(root, 'include'), header])),
  )
  const source = join(stubs, 'stub.c')
  await writeFile(source, names.map((name) => `void ${name}(void) {}\n`).join(''))
  await run(compiler, ['-shared', '-fPIC', '-w', '-Wl,-soname,libcuda.so.1', '-o', join(stubs, 'libcuda.so'), source])
}

/** The functions that cuda.h declares, also under the names that macros give them: `cuMemAlloc_v2`. */
export function functions(header) {
  const declared = [...header.matchAll(/\bCUresult\s+(?:CUDAAPI\s+|__\w+\s+)*(cu[A-Z]\w*)\s*\(/g)].map(
    ([, name]) => name,
  )
  const renamed = [...header.matchAll(/^#\s*define\s+cu[A-Z]\w*\s+(cu[A-Z]\w*)\s*$/gm)].map(([, name]) => name)
  return [...new Set([...declared, ...renamed])].sort()
}

/** `libcublas.so.13` → `libcublas.so`. */
export function unversioned(name) {
  return name.replace(/(\.so)\..*$/, '$1')
}

/** MKLROOT, or the one from PyPI. */
export async function mklRoot(env = process.env) {
  return env.MKLROOT || provide(MKL, arrangeMkl)
}

/** Files, not links of folders: the crate that looks for them follows none. */
async function arrangeMkl(unpacked, root) {
  for (const [folder, wanted] of [
    ['lib', /\.a$/],
    ['include', /\.h$/],
  ]) {
    await mkdir(join(root, folder))
    for (const data of readdirSync(unpacked).filter((name) => name.endsWith('.data'))) {
      const from = join(unpacked, data, 'data', folder)
      const names = existsSync(from) ? readdirSync(from).filter((name) => wanted.test(name)) : []
      for (const name of names) await link(join(from, name), join(root, folder, basename(name)))
    }
  }
}
