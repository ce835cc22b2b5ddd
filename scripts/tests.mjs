// Tests of the scripts' pure parts. Node's own runner, as they must hold before anything is installed.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'

import { KINDS, cudaEnvironment, plan as planFor } from './build-accelerated.mjs'
import { plan } from './build-native.mjs'
import { cacheFolder } from './cache.mjs'
import { SETS, SENSELESS } from './check-features.mjs'
import { FOREIGN, chosen, lacking, tools } from './check-targets.mjs'
import { closing, fromCargo, fromTap, fromVitest, none, plus, said } from './counts.mjs'
import { anchors, blocks, deadLinks, inPage, links, unmeasured } from './docs.mjs'
import { compare, macos, newestGlibc } from './floor.mjs'
import { isStale } from './install.mjs'
import { belongs, manifest } from './model-package.mjs'
import { fieldsOf, filled, listed, structs, title } from './models-page.mjs'
import { published } from './onnxruntime.mjs'
import { platformManifest, publishedManifest } from './pack.mjs'
import { describe, missing } from './prerequisites.mjs'
import { StepFailed, root, run } from './steps.mjs'
import { EXTRAS, TARGETS, binaryOf, packageOf } from './targets.mjs'
import { CUDA, MKL, functions, unversioned } from './wheels.mjs'

const complete = {
  node: 'v20.20.2',
  npm: '10.8.0',
  cargo: 'cargo 1.95.0',
  rustc: 'rustc 1.95.0 (f2d3ce0bd 2026-03-21)',
  compiler: 'cc',
  python: 'python3',
  pip: 'pip 23.2',
  manager: 'apt',
}

test('a complete machine lacks nothing', () => {
  assert.deepEqual(missing(complete, { python: true }), [])
})

for (const [what, change, remedy] of [
  ['Node ≥ 20 (this is v18.1.0)', { node: 'v18.1.0' }, /nodejs\.org/],
  ['npm', { npm: undefined }, /nodejs\.org/],
  ['Rust ≥ 1.92 (cargo and rustc)', { rustc: undefined }, /rustup\.rs/],
  ['Rust ≥ 1.92 (this is rustc 1.91.0)', { rustc: 'rustc 1.91.0' }, /rustup update/],
  ['a C compiler and linker', { compiler: undefined }, /apt-get install -y build-essential/],
  ['a C compiler and linker', { compiler: undefined, manager: 'brew' }, /xcode-select/],
  ['python3 (fetches the model)', { python: undefined, manager: 'dnf' }, /dnf install -y python3/],
  ['pip for python3 (fetches the model)', { pip: undefined }, /python3-pip/],
]) {
  test(`what is missing is named: ${what} on ${change.manager ?? 'apt'}`, () => {
    const lacks = missing({ ...complete, ...change }, { python: true })
    assert.equal(lacks.length, 1)
    assert.equal(lacks[0].what, what)
    assert.match(lacks[0].remedy, remedy)
    assert.match(describe(lacks), / is missing → /)
  })
}

test('everything that is missing is named at once', () => {
  assert.equal(missing({ node: 'v18.0.0', manager: 'winget' }, { python: true }).length, 4)
})

test('python is asked for only where it is wanted', () => {
  assert.deepEqual(missing({ ...complete, python: undefined, pip: undefined }), [])
})

test('a newer Rust is recent enough', () => {
  assert.deepEqual(missing({ ...complete, rustc: 'rustc 2.0.0' }), [])
})

test('node_modules is stale where it is absent or older than the lock file', () => {
  assert.deepEqual([isStale(5, undefined), isStale(5, 4), isStale(5, 5), isStale(5, 6)], [true, true, false, false])
})

test('the cache follows the setting, then the system', () => {
  const folder = (env, platform) => cacheFolder(env, platform, 'home')
  assert.equal(folder({ EMBED_NATIVE_CACHE: 'here', XDG_CACHE_HOME: 'xdg' }, 'linux'), 'here')
  assert.equal(folder({ XDG_CACHE_HOME: 'xdg' }, 'linux'), join('xdg', 'embed-native'))
  assert.equal(folder({}, 'linux'), join('home', '.cache', 'embed-native'))
  assert.equal(folder({}, 'darwin'), join('home', 'Library', 'Caches', 'embed-native'))
  assert.equal(folder({ LOCALAPPDATA: 'local' }, 'win32'), join('local', 'embed-native'))
})

test('cargo: each binary is counted', () => {
  const output = [
    'test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s',
    'test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s',
  ].join('\n')
  assert.deepEqual(fromCargo(output), { passed: 15, failed: 2, skipped: 1 })
  assert.deepEqual(fromCargo('error: could not compile'), none)
})

test('node: the closing comments are counted', () => {
  assert.deepEqual(fromTap('# tests 3\n# pass 2\n# fail 1\n# skipped 0\n'), { passed: 2, failed: 1, skipped: 0 })
})

test('vitest: a file that did not load is a failure', () => {
  const report = {
    numPassedTests: 4,
    numFailedTests: 0,
    numPendingTests: 1,
    testResults: [
      { status: 'failed', assertionResults: [] },
      { status: 'passed', assertionResults: [{}] },
    ],
  }
  assert.deepEqual(fromVitest(report), { passed: 4, failed: 1, skipped: 1 })
})

test('the closing line', () => {
  assert.equal(
    closing(plus({ passed: 1, failed: 0, skipped: 0 }, { passed: 2, failed: 1, skipped: 0 })),
    '3 passed, 1 failed',
  )
  assert.equal(closing({ passed: 1, failed: 0, skipped: 2 }), '1 passed, 0 failed')
  assert.equal(said({ passed: 1, failed: 0, skipped: 2 }), '1 passed, 2 skipped')
})

test('a failing command rejects with all that it printed', async () => {
  const words = ['-e', 'console.log("out"); console.error("err"); process.exit(3)']
  await assert.rejects(run(process.execPath, words), (error) => {
    assert.ok(error instanceof StepFailed)
    assert.match(error.message, /code 3/)
    assert.match(error.output, /out/)
    assert.match(error.output, /err/)
    return true
  })
})

test('a program that is not there rejects with its name', async () => {
  await assert.rejects(run('no-such-program', []), /no-such-program/)
})

test('ONNX Runtime is published for some machines', () => {
  assert.deepEqual(
    [published('linux', 'x64', 'glibc'), published('linux', 'x64', 'musl'), published('darwin', 'x64')],
    [true, false, false],
  )
})

test('the list of architectures is read', () => {
  const list = 'architectures! {\n    ape: "ape" | "great-ape";\n    bee: ; // what `ape` is with wings\n}\n'
  assert.deepEqual(listed(list), [
    { file: 'ape', types: ['ape', 'great-ape'] },
    { file: 'bee', types: [] },
  ])
  assert.throws(() => listed('mod ape;'), StepFailed)
})

test('a file is called by its first line', () => {
  assert.equal(title('//! BERT (Devlin 2018): an encoder.\n'), 'BERT')
  assert.equal(title('//! Static embeddings: one row a token.\n'), 'Static embeddings')
})

const model = `
#[derive(Deserialize)]
struct ApeConfig {
    hidden_size: usize,
    /// Not a field: at all.
    #[serde(default = "arms", alias = "limbs")]
    arms: Option<Vec<String>>,
    #[serde(rename = "type")]
    kind: String,
    #[serde(flatten)]
    tail: TailSettings,
}
fn load(config: &Config) { config.value()["jumps"].as_bool(); }
`
const tail = '#[derive(Debug, Deserialize)]\npub struct TailSettings {\n    tail_length: f32,\n}\n'

test('fields are those of a struct, of what is flattened into it, and of the value', () => {
  const all = new Map([...structs(model), ...structs(tail)])
  assert.deepEqual(fieldsOf(model, all), ['arms', 'hidden_size', 'jumps', 'limbs', 'tail_length', 'type'])
  assert.deepEqual(fieldsOf('fn none() {}', all), [])
})

test('a page keeps what is not generated', () => {
  const page = 'a\n<!-- generated by `npm run docs` -->\nold\n<!-- end of what is generated -->\nz\n'
  const part = { opening: '<!-- generated by `npm run docs` -->', write: () => 'new' }
  const written = filled(page, part)
  assert.match(written, /^a\n[\s\S]*\nnew\n[\s\S]*\nz\n$/)
  assert.equal(filled(written, part), written)
  assert.throws(() => filled('no marks', part), StepFailed)
})

const page = `# A page
[here](#a-page) [there](other.md#a-page-1 "title") [web](https://example.org) \`[code](gone.md)\`
\`\`\`ts
const one = 1 // [no](link.md)
\`\`\`
\`\`\`sh
# no heading
\`\`\`
\`\`\`\`js
\`\`\`ts
\`\`\`\`
## \`embed\`, and [more](other.md)!
# A page
`

test('a page gives its blocks of code, with their lines', () => {
  assert.deepEqual(blocks(page), [
    { line: 4, extension: 'ts', code: 'const one = 1 // [no](link.md)\n' },
    { line: 10, extension: 'mjs', code: '```ts\n' },
  ])
})

test('links are relative and not in code; headings have the anchors of GitHub', () => {
  assert.deepEqual(links(page), [
    { line: 2, path: '', anchor: 'a-page' },
    { line: 2, path: 'other.md', anchor: 'a-page-1' },
    { line: 12, path: 'other.md', anchor: undefined },
  ])
  assert.deepEqual(anchors(page), ['a-page', 'embed-and-more', 'a-page-1'])
})

test('a link that leads nowhere is named with its line', () => {
  const pages = { 'docs/a.md': 'ok\n[b](../b.md#two) [c](c.md) [d](#one)\n', 'b.md': '# One\n' }
  const read = (path) => pages[path]
  assert.deepEqual(
    deadLinks('docs/a.md', read, (path) => path in pages),
    [
      'docs/a.md:2: b.md has no heading #two',
      'docs/a.md:2: there is no docs/c.md',
      'docs/a.md:2: docs/a.md has no heading #one',
    ],
  )
})

test('a message of the compiler names the page', () => {
  assert.equal(inPage('docs~api.md.12.ts(15,3): error TS1: no'), 'docs/api.md:15: error TS1: no')
  assert.equal(inPage('  a second line'), '  a second line')
})

test('figures of the README stand among the measurements', () => {
  const readme = '# A\n0.5\n## Figures\n1,234 tokens/s, 1.5 ms, 12 texts\n## Next\n9.9\n'
  assert.deepEqual(unmeasured(readme, '| 1,234 | 1.5 |'), [])
  assert.deepEqual(unmeasured(readme, '| 1,234 |'), ['README.md: 1.5 is not in docs/performance.md'])
  assert.equal(unmeasured('# A\n', '').length, 1)
})

test('targets: all are taken, or those that are asked for', () => {
  assert.deepEqual(chosen([]), FOREIGN)
  assert.deepEqual(
    chosen(['--only', 'musl', 'macos']).map((target) => target.name),
    ['macos', 'musl'],
  )
  assert.throws(() => chosen(['--only', 'vax']), /aarch64, macos, windows, musl, not "vax"/)
  assert.throws(() => chosen(['--only']), StepFailed)
})

test('targets: what is missing has its packages', () => {
  const found = (program) => program !== 'qemu-aarch64'
  assert.deepEqual(lacking(FOREIGN, found), [{ program: 'qemu-aarch64', packages: 'qemu-user' }])
})

test('targets: tools are named for cargo and for C', () => {
  const triple = 'x86_64-unknown-linux-musl'
  assert.deepEqual(tools(triple, { compiler: 'a', runner: 'b c' }), {
    CC_x86_64_unknown_linux_musl: 'a',
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_LINKER: 'a',
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUNNER: 'b c',
  })
  assert.deepEqual(tools(triple, { compiler: 'a', archiver: 'a' }), {
    CC_x86_64_unknown_linux_musl: 'a',
    AR_x86_64_unknown_linux_musl: 'a',
  })
})

test('every target is looked for, and nothing else', async () => {
  const candidates = await readFile(join(root, 'lib', 'candidates.ts'), 'utf8')
  const required = [...candidates.matchAll(/return require\('([^']+)'\)/g)].map(([, path]) => path)
  const all = Object.keys({ ...TARGETS, ...EXTRAS })
  assert.deepEqual(required.sort(), all.flatMap((target) => [`../${binaryOf(target)}`, packageOf(target)]).sort())
  const machines = [...candidates.matchAll(/^ {2}'([a-z0-9-]+)': /gm)].map(([, name]) => name)
  assert.deepEqual(
    [...new Set(machines)].sort(),
    [...new Set(Object.values(TARGETS).map(({ os, cpu }) => `${os}-${cpu}`))].sort(),
  )
})

test('the release workflow builds every target, where the table says', async () => {
  const workflow = await readFile(join(root, '.github', 'workflows', 'release.yml'), 'utf8')
  for (const [target, { rust, runner }] of Object.entries(TARGETS)) {
    assert.match(workflow, new RegExp(`target: ${target}\\n +rust: ${rust}\\n +runner: ${runner}\\n`), target)
  }
})

test('published manifests name all platforms at one version, and run nothing', () => {
  const own = {
    name: '@x/embed-native',
    version: '1.2.3',
    license: 'MIT',
    engines: { node: '>=20' },
    scripts: {},
    files: [],
  }
  const face = publishedManifest({ ...own, devDependencies: {} }, 'x/embed-native')
  assert.equal(Object.keys(face.optionalDependencies).length, 8)
  assert.deepEqual(new Set(Object.values(face.optionalDependencies)), new Set(['1.2.3']))
  for (const name of ['scripts', 'devDependencies', 'dependencies', 'files']) assert.ok(!(name in face), name)
  assert.equal(face.type, 'commonjs')
  assert.equal(face.repository.url, 'git+https://github.com/x/embed-native.git')
  const musl = platformManifest('linux-arm64-musl', own)
  assert.deepEqual(
    [musl.os, musl.cpu, musl.libc, musl.main],
    [['linux'], ['arm64'], ['musl'], 'embed-native.linux-arm64-musl.node'],
  )
  assert.ok(!('libc' in platformManifest('win32-x64-msvc', own)) && !('scripts' in musl) && !('repository' in musl))
})

test('a triple says how it is built', () => {
  const old = plan('x86_64-unknown-linux-gnu.2.28', 'ship')
  assert.deepEqual(old.words, [
    'zigbuild',
    '--profile',
    'ship',
    '--locked',
    '--target',
    'x86_64-unknown-linux-gnu.2.28',
  ])
  assert.equal(old.built, join('x86_64-unknown-linux-gnu', 'ship', 'libembed_native.so'))
  assert.equal(old.addon, 'embed-native.linux-x64-gnu.node')
  assert.equal(plan('aarch64-unknown-linux-musl', 'ship').words[0], 'zigbuild')
  assert.equal(
    plan('aarch64-pc-windows-msvc', 'ship').built,
    join('aarch64-pc-windows-msvc', 'ship', 'embed_native.dll'),
  )
  assert.equal(plan('aarch64-apple-darwin', 'release').words[0], 'build')
  assert.deepEqual(plan('aarch64-apple-darwin', 'release').words.slice(-2), ['--features', 'metal'])
  assert.throws(() => plan('riscv64gc-unknown-linux-gnu', 'ship'), StepFailed)
})

test('floors are read from what the tools list', () => {
  assert.equal(newestGlibc('0x01: Name: GLIBC_2.4 Name: GLIBC_2.28  Name: GLIBC_2.2.5'), '2.28')
  assert.equal(newestGlibc('No version information found in this file.'), undefined)
  assert.equal(macos('cmd LC_BUILD_VERSION\n platform 1\n minos 11.0\n sdk 15.0'), '11.0')
  assert.ok(compare('2.9', '2.28') < 0 && compare('2.28', '2.28.0') === 0 && compare('3', '2.28') > 0)
})

test('a model package holds what the library reads', () => {
  const yes = [
    'config.json',
    'tokenizer.json',
    'model.safetensors',
    'model-00001-of-00002.safetensors',
    '1_Pooling/config.json',
  ]
  const also = [
    'model.safetensors.index.json',
    'modules.json',
    '2_Dense/model.safetensors',
    'adapter_config.json',
    'tokenizer_config.json',
  ]
  const no = [
    'pytorch_model.bin',
    'onnx/model.onnx',
    'onnx/config.json',
    'vocab.txt',
    'golden.json',
    '.complete.json',
    'a/modules.json',
  ]
  assert.deepEqual([...yes, ...also, ...no].filter(belongs), [...yes, ...also])
  const about = manifest({ name: '@you/model', version: '1.0.0', license: 'MIT', source: 'org/name' })
  assert.deepEqual(about['embed-native'], { model: 'model', source: 'org/name' })
  assert.ok(!('scripts' in about) && !('dependencies' in about))
})

test('an accelerator is built where it can be, under a name of its own', () => {
  const here = { platform: 'linux', arch: 'x64', glibc: true }
  assert.deepEqual(planFor('cuda', here, ['cudnn'], 'release'), {
    words: ['build', '--locked', '--profile', 'release', '--features', 'cuda,cudnn'],
    addon: 'embed-native.linux-x64-gnu-cuda.node',
  })
  assert.equal(planFor('mkl', here, [], 'release').addon, 'embed-native.linux-x64-gnu.node')
  assert.throws(() => planFor('metal', here, [], 'release'), /metal is for darwin-arm64; this is linux-x64/)
  assert.throws(() => planFor('rocm', here, [], 'release'), /there is cuda, metal, mkl, and no "rocm"/)
  for (const target of Object.values(EXTRAS)) assert.ok(KINDS.cuda.systems.includes(`${target.os}-${target.cpu}`))
})

test('the compiler is found, and compiles for 8.0 unless it is told otherwise', () => {
  const env = cudaEnvironment(join('a', 'cuda'), { PATH: 'b' })
  assert.deepEqual([env.CUDA_HOME, env.CUDA_COMPUTE_CAP], [join('a', 'cuda'), '80'])
  assert.ok(env.PATH.startsWith(join('a', 'cuda', 'bin')) && env.PATH.endsWith('b'))
  assert.equal(cudaEnvironment('a', { CUDA_COMPUTE_CAP: '75' }).CUDA_COMPUTE_CAP, '75')
  assert.equal(unversioned('libcublas.so.13'), 'libcublas.so')
  const header =
    '#define cuMemAlloc cuMemAlloc_v2\n#define CU_X 1\nCUresult CUDAAPI cuInit(unsigned f);\nCUresult cuMemAlloc(int *p);'
  assert.deepEqual(functions(header), ['cuInit', 'cuMemAlloc', 'cuMemAlloc_v2'])
  for (const pinned of [...CUDA.packages, ...MKL.packages]) assert.match(pinned, /^[a-z-]+==\d[\d.]+$/)
})

test('a package with kernels is for one machine, and no other package asks for it', async () => {
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const { name, os, cpu, libc, main } = platformManifest('linux-x64-gnu-cuda', own)
  assert.deepEqual([name, os, cpu, libc], ['@x/embed-native-linux-x64-gnu-cuda', ['linux'], ['x64'], ['glibc']])
  assert.equal(main, 'embed-native.linux-x64-gnu-cuda.node')
  assert.ok(!(name in publishedManifest(own).optionalDependencies))
})

test('every feature of the addon is in a set that is checked, or said to need more', async () => {
  const manifest = await readFile(join(root, 'Cargo.toml'), 'utf8')
  const section = /\n\[features\]\n([\s\S]*?)\n\[/.exec(manifest)[1]
  const features = [...section.matchAll(/^([a-z-]+) = /gm)].map(([, name]) => name).filter((name) => name !== 'default')
  const named = new Set([...SETS, ...SENSELESS].flatMap(({ features }) => features))
  assert.deepEqual(
    features.filter((name) => !named.has(name)),
    [],
  )
})
