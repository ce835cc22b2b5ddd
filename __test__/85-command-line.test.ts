/** The command line: the real program in processes of its own. */
import { execFileSync, spawn } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Reranker, version } from '@x/embed-native'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { COMMIT, type Hub, NAME, read, sha, startHub } from './hub.js'
import { bits, data, loadTiny, root, tiny } from './support.js'

const PROGRAM = join(root, 'dist', 'cli.cjs')
const MODEL = ['--model', tiny('bert-mean'), '--dtype', 'f32']
const COMMANDS = [
  'embed',
  'rerank',
  'search',
  'models',
  'info',
  'download',
  'cache',
  'convert',
  'presets',
  'bench',
  'doctor',
]
const TEXTS = ['red fox', 'blue whale', 'Füchse 🦊']

let folder: string
let hub: Hub

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'embed-native-cli-'))
  hub = await startHub()
})

afterAll(() => {
  hub.close()
  rmSync(folder, { recursive: true, force: true })
})

interface Ended {
  code: number | null
  signal: string | null
  output: Buffer
  text: string
  errors: string
}

/** What else happens to the program. */
interface Around {
  input?: string
  env?: Record<string, string>
  /** stdin stays open. */
  open?: boolean
  /** Called at the first output. */
  onOutput?: (running: ReturnType<typeof spawn>) => void
  /** Called after so many milliseconds. */
  later?: [number, (running: ReturnType<typeof spawn>) => void]
}

function run(words: string[], { input = '', env = {}, open = false, onOutput, later }: Around = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const running = spawn(process.execPath, [PROGRAM, ...words], {
      cwd: folder,
      env: { ...process.env, NODE_OPTIONS: '', ...env },
      timeout: 50_000,
      killSignal: 'SIGKILL',
    })
    const [chunks, errors]: [Buffer[], Buffer[]] = [[], []]
    running.stdout.on('data', (chunk) => {
      if (chunks.push(chunk) === 1) onOutput?.(running)
    })
    running.stderr.on('data', (chunk) => errors.push(chunk))
    running.stdin.on('error', () => {})
    running.stdin.write(input)
    if (!open) running.stdin.end()
    if (later) setTimeout(later[1], later[0], running)
    running.on('error', reject)
    running.on('close', (code, signal) => {
      const output = Buffer.concat(chunks)
      resolve({ code, signal, output, text: output.toString(), errors: Buffer.concat(errors).toString() })
    })
  })
}

/** Runs a command that must end well and say nothing on stderr, which is no terminal here. */
async function good(words: string[], around?: Around): Promise<Ended> {
  const ended = await run(words, around)
  expect({ code: ended.code, signal: ended.signal, errors: ended.errors }, words.join(' ')).toEqual({
    code: 0,
    signal: null,
    errors: '',
  })
  return ended
}

const json = async <Content>(words: string[], around?: Around): Promise<Content> =>
  JSON.parse((await good(words, around)).text)

const rows = (text: string): Record<string, unknown>[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

const put = (name: string, content: string | Buffer): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const expected = async (texts = TEXTS): Promise<string[]> =>
  (await (await loadTiny()).embed(texts)).map((vector) => bits(vector))

const embeddings = (text: string): string[] =>
  rows(text).map(({ embedding }) => bits(Float32Array.from(embedding as number[])))

describe('help', () => {
  test('names all commands, and each command its options', async () => {
    const all = (await good(['--help'])).text
    for (const name of COMMANDS) {
      expect(all).toMatch(new RegExp(`^  ${name} `, 'm'))
      const { text } = await good([name, '--help'])
      expect(text).toContain(`usage: embed-native ${name}`)
      expect(text).toMatch(/-h, --help/)
      expect((await good(['help', name])).text).toContain(`embed-native ${name}: `)
    }
    expect((await good([])).text).toBe(all)
    for (const name of ['embed', 'search', 'info', 'bench'])
      expect((await good([name, '--help'])).text).toContain('(sentence-transformers/all-MiniLM-L6-v2)')
    const rerank = (await good(['rerank', '--help'])).text
    expect(['(cross-encoder/ms-marco-', '--pooling'].map((word) => rerank.includes(word))).toEqual([true, false])
  })

  test('the list is the folder', () => {
    const files = readdirSync(join(root, 'cli', 'commands')).map((name) => name.replace('.ts', ''))
    expect(files.filter((name) => name !== 'index').sort()).toEqual([...COMMANDS].sort())
  })

  test('the version is the package’s', async () => expect((await good(['--version'])).text.trim()).toBe(version))
})

describe('what is typed wrong ends with code 2 and names the nearest', () => {
  test.for([
    [['embd'], /unknown command embd; did you mean embed\?/],
    [['constructor'], /unknown command constructor/],
    [['embed', '--modle', 'x'], /unknown option --modle; did you mean --model\?/],
    [['embed', '--constructor'], /unknown option --constructor\n/],
    [['embed', '-x'], /unknown option -x/],
    [['embed', '--model'], /--model needs a value/],
    [['embed', '--to', 'np'], /--to must be jsonl, f32, npy; got "np"\n/],
    [['embed', '--threads', 'two'], /--threads must be a whole number, from 1 to 1024; got "two"/],
    [['embed', '--threads=0'], /from 1 to 1024/],
    [['doctor', '--json=yes'], /--json takes no value/],
    [['doctor', 'now'], /"now" is too much/],
    [['search', 'here'], /something is missing: embed-native search <folder> <query…>/],
    [['rerank'], /needs a query/],
    [['cache', 'veryfy'], /unknown tool veryfy; did you mean verify\?/],
    [['cache', 'list', 'org/x'], /cache list takes no model/],
    [['cache', 'remove'], /needs a model/],
    [['embed', '--dtype', 'f8'], /--dtype must be auto, f32, bf16, f16, int8; got "f8"\n/],
    [['embed', '--providers', 'cpu,gpu'], /--providers must be cuda, .*cpu; got "gpu"\n/],
    [['embed', '--device', 'gpu'], /--device must be "auto", "cpu".*\[ERR_INVALID_ARGUMENT\]/],
    [['embed', '-o', 'out.xyz', ...MODEL], /out\.xyz may hold jsonl, f32, npy: say which with --to/],
    [['embed', '--prompt', 'qury', ...MODEL], /has no prompt named qury; it has none: leave --prompt out/],
    [['convert', 'x', '--dtype', 'int8'], /--dtype needs --output/],
    [['convert', 'x', '--small-tables'], /goes with --dtype int8/],
    [['bench', tiny('bert-mean'), '--seconds', '1', '--texts', '/dev/null'], /\/dev\/null holds no texts/],
    [['info', '--task', 'sparse'], /a model for sparse has to be named/],
    [['embed', ...MODEL, '--max-length', '99999'], /: --max-length is 99999; for this model it must be from 1 to/],
    [['search', 'x', 'y', '--reranker-adapter', 'z'], /--reranker-adapter needs --reranker/],
  ] as const)('%j', async ([words, message]) => {
    const { code, text, errors } = await run([...words])
    expect({ code, text }).toEqual({ code: 2, text: '' })
    expect(errors).toMatch(message)
  })
})

test.skipIf(process.platform === 'win32')(
  'output follows links and flows into pipes, and replaces neither',
  async () => {
    const texts = put('linked.txt', TEXTS.join('\n'))
    const [target, link, pipe] = ['target.jsonl', 'link.jsonl', 'pipe'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    writeFileSync(target, 'old', { mode: 0o600 })
    symlinkSync(target, link)
    await good(['embed', ...MODEL, texts, '-o', link])
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(embeddings(readFileSync(target, 'utf8'))).toEqual(await expected())
    expect(statSync(target).mode & 0o777).toBe(0o600)
    execFileSync('mkfifo', [pipe])
    const [read] = await Promise.all([readFile(pipe, 'utf8'), good(['embed', ...MODEL, texts, '-o', pipe])])
    expect(embeddings(read)).toEqual(await expected())
    expect(statSync(pipe).isFIFO()).toBe(true)
  },
)

test.runIf(process.platform === 'linux')('a full disk is said in a sentence', async () => {
  const { code, errors } = await run(['embed', '-o', '/dev/full', '--to', 'f32', ...MODEL], { input: 'a' })
  expect([code, errors]).toEqual([
    1,
    expect.stringMatching(/: \/dev\/full cannot be written: the disk is full.* \[ENOSPC\]/),
  ])
})

test('what goes wrong ends with code 1, its code and no stack', async () => {
  const { code, errors } = await run(['embed', '--model', 'no/such/folder/at/all'])
  expect(code).toBe(1)
  expect(errors).toMatch(/\[ERR_MODEL_NOT_FOUND\]\n$/)
  expect(errors).not.toMatch(/ at .*:\d+/)
})

describe('embed', () => {
  test('lines of stdin become JSON with the library’s own bits', async () => {
    const { text } = await good(['embed', ...MODEL], { input: `\uFEFF${TEXTS.join('\r\n')}\n\n` })
    expect(rows(text).map(({ index }) => index)).toEqual([0, 1, 2])
    expect(embeddings(text)).toEqual(await expected())
  })

  test('JSONL: strings and objects, with ids and any field; texts come back if asked for', async () => {
    const file = put('texts.jsonl', `"red fox"\n{"body":"blue whale","id":7}\n{"id":{"a":1},"body":"Füchse 🦊"}\n`)
    const { text } = await good(['embed', file, '--field', 'body', '--with-text', ...MODEL])
    expect(embeddings(text)).toEqual(await expected())
    expect(rows(text).map(({ id, text }) => [id, text])).toEqual([
      [undefined, 'red fox'],
      [7, 'blue whale'],
      [{ a: 1 }, 'Füchse 🦊'],
    ])
  })

  test('a text a file', async () => {
    const files = TEXTS.map((text, index) => put(`${index}.md`, text))
    const { text } = await good(['embed', '--input', 'files', ...files, ...MODEL])
    expect(embeddings(text)).toEqual(await expected())
    expect(rows(text).map(({ id }) => id)).toEqual(files)
  })

  test('raw f32 and NumPy hold the same bytes, in a file or in a pipe', async () => {
    const input = TEXTS.join('\n')
    const raw = (await good(['embed', '--to', 'f32', ...MODEL], { input })).output
    expect(raw.toString('hex')).toBe((await expected()).join(''))
    await good(['embed', '-o', 'vectors.npy', ...MODEL], { input })
    const file = readFileSync(join(folder, 'vectors.npy'))
    expect(file.subarray(0, 8).toString('latin1')).toBe('\x93NUMPY\x01\x00')
    expect(file.readUInt16LE(8)).toBe(118)
    expect(file.subarray(10, 128).toString()).toMatch(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(3, 48\), \} *\n$/,
    )
    expect(file.subarray(128).equals(raw)).toBe(true)
    expect((await good(['embed', '--to', 'npy', ...MODEL], { input })).output.equals(file)).toBe(true)
    expect((await good(['embed', '-o', '-', '--to', 'npy', ...MODEL], { input })).output.equals(file)).toBe(true)
    expect(existsSync(join(folder, '-'))).toBe(false)
    await good(['embed', '-o', 'UPPER.NPY', ...MODEL], { input })
    expect(readFileSync(join(folder, 'UPPER.NPY')).equals(file)).toBe(true)
  })

  test('a byte order mark is no part of a text', async () => {
    const files = TEXTS.map((text, index) => put(`mark-${index}.md`, `\uFEFF${text}`))
    const { text } = await good(['embed', '--input', 'files', ...files, ...MODEL])
    expect(embeddings(text)).toEqual(await expected())
    const piped = await good(['embed', '--input', 'files', '-', ...MODEL], { input: `\uFEFF${TEXTS[0]}` })
    expect(embeddings(piped.text)).toEqual((await expected()).slice(0, 1))
  })

  test('texts that are cut are counted on stderr', async () => {
    const input = `red fox\n${'fox '.repeat(2000)}\nblue whale\n${'fox '.repeat(3000)}`
    const { code, errors } = await run(['embed', ...MODEL], { input })
    expect([code, errors]).toEqual([
      0,
      expect.stringMatching(/^2 texts were cut to \d+ tokens; --on-overflow chunk.*\n$/),
    ])
    expect((await good(['embed', '--on-overflow', 'chunk', ...MODEL], { input })).text.split('\n')).toHaveLength(5)
    const words = ['rerank', '-q', 'fox', '--model', tiny('rerank-bert')]
    expect((await run(words, { input })).errors).toMatch(/^2 texts were cut to \d+ tokens; their ends were not read\n$/)
  })

  test('what a killed process left beside its file is removed, what a living one writes is not', async () => {
    const gone = spawn(process.execPath, ['-e', ''])
    await new Promise((resolve) => gone.on('close', resolve))
    const [left, living] = [put(`kept.f32.${gone.pid}.part`, 'x'), put(`kept.f32.${process.pid}.part`, 'x')]
    await good(['embed', '-o', 'kept.f32', ...MODEL], { input: 'a' })
    expect([existsSync(left), existsSync(living)]).toEqual([false, true])
    rmSync(living)
  })

  test('a place that cannot be written is named as it was typed', async () => {
    const { code, errors } = await run(['embed', '-o', 'none/out.npy', ...MODEL], { input: 'a' })
    expect([code, errors]).toEqual([
      1,
      expect.stringMatching(/: none\/out\.npy cannot be written: its folder is not there, make it first \[ENOENT\]/),
    ])
    mkdirSync(join(folder, 'a-folder.npy'))
    const onto = await run(['embed', '-o', 'a-folder.npy', ...MODEL], { input: 'a' })
    expect([onto.code, onto.errors]).toEqual([
      1,
      expect.stringMatching(/cannot be written: it is a folder, name a file/),
    ])
  })

  test('options of the call reach it', async () => {
    const { text } = await good(['embed', '--dimensions', '8', ...MODEL], { input: 'red fox' })
    expect((rows(text)[0]!.embedding as number[]).length).toBe(8)
    const long = { input: 'fox '.repeat(2000) }
    const { code, errors } = await run(['embed', '--on-overflow', 'error', ...MODEL], long)
    expect([code, errors]).toEqual([1, expect.stringContaining('ERR_TEXT_TOO_LONG')])
  })

  test.for([
    ['no JSON', 'nonsense', /stdin:2: expected a line of JSON, got nonsense/],
    ['no text', '{"id":1}', /stdin:2: expected a string, or an object with a string in "text"/],
  ] as const)('a line with %s is named, and no file stays', async ([, line, message]) => {
    const words = ['embed', '--input', 'jsonl', '-o', 'broken.npy', ...MODEL]
    const { code, errors } = await run(words, { input: `"a"\n${line}\n` })
    expect(code).toBe(2)
    expect(errors).toMatch(message)
    expect(readdirSync(folder).filter((name) => name.startsWith('broken'))).toEqual([])
  })

  test.for([
    [['embed', 'none.txt', ...MODEL], /: none\.txt is not there: check the spelling.* \[ENOENT\]/],
    [['embed', '.', ...MODEL], /: \. is a folder: name the files in it \[EISDIR\]/],
    [['embed', '--input', 'files', '.', ...MODEL], /: \. is a folder: name the files in it \[EISDIR\]/],
    [['search', 'none', 'fox', ...MODEL], /: none is not there: .* \[ENOENT\]/],
    [['search', 'here.txt', 'fox', ...MODEL], /: here\.txt is no folder.* \[ENOTDIR\]/],
    [['models', 'here.txt'], /: here\.txt is no folder.* \[ENOTDIR\]/],
    [['embed', '--model', tiny('rerank-bert')], /: load it with embed-native rerank \[ERR_MODEL_UNSUPPORTED\]/],
  ] as const)('what the system refuses is said in a sentence: %j', async ([words, says]) => {
    put('here.txt', 'a')
    const { code, errors } = await run([...words])
    expect([code, errors]).toEqual([1, expect.stringMatching(says)])
  })

  test.for([
    ['a picture', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')],
    ['UTF-16', Buffer.from('red fox', 'utf16le')],
    ['Latin-1', Buffer.from('Füchse', 'latin1')],
    ['a text that is cut', Buffer.from('Füchse').subarray(0, 2)],
  ] as const)('%s is no text', async ([, bytes]) => {
    const file = put('no-text', bytes)
    for (const words of [
      ['embed', file],
      ['embed', '--input', 'files', file],
      ['rerank', '-q', 'a', file],
    ]) {
      const model = words[0] === 'rerank' ? ['--model', tiny('rerank-bert')] : MODEL
      const { code, text, errors } = await run([...words, ...model])
      expect([code, text, errors]).toEqual([2, '', expect.stringMatching(/no-text is no text: .*not UTF-8/)])
    }
  })

  test('lines end with a line feed, also where they are long or come in pieces', async () => {
    const texts = ['a\u2028b', 'fox '.repeat(40_000), '']
    const input = texts.map((text) => JSON.stringify(text)).join('\r\n')
    const { text } = await good(['embed', '--input', 'jsonl', '--with-text', '--on-overflow', 'chunk', ...MODEL], {
      input,
    })
    expect(rows(text).map(({ text }) => text)).toEqual(texts)
  })

  test('options of loading reach the library', async () => {
    const model = [...MODEL, '--device', 'cpu', '--pooling', 'cls', '--max-batch', '2']
    const { text } = await good(['embed', ...model], { input: TEXTS.join('\n') })
    const embedder = await loadTiny('bert-mean', { pooling: 'cls' })
    expect(embeddings(text)).toEqual((await embedder.embed(TEXTS)).map((vector) => bits(vector)))
    const { code, errors } = await run(['embed', ...MODEL, '--device', 'cuda:77'], { input: 'a' })
    expect([code, errors]).toEqual([1, expect.stringContaining('[ERR_DEVICE]')])
  })

  test('a reader that goes away ends it quietly', async () => {
    const input = Array.from({ length: 20_000 }, (_, at) => `text ${at}`).join('\n')
    const ended = await run(['embed', ...MODEL], { input, onOutput: (running) => running.stdout!.destroy() })
    expect({ code: ended.code, signal: ended.signal, errors: ended.errors }).toEqual({
      code: 0,
      signal: null,
      errors: '',
    })
  })

  test.skipIf(process.platform === 'win32')('Ctrl-C ends it with 130, and no file stays', async () => {
    const words = ['embed', '-o', 'stopped.f32', ...MODEL]
    const stop: Around['later'] = [1500, (running) => running.kill('SIGINT')]
    const { code, signal, errors } = await run(words, { input: 'a\n', open: true, later: stop })
    expect({ code, signal, errors }).toEqual({ code: 130, signal: null, errors: '' })
    expect(readdirSync(folder).filter((name) => name.startsWith('stopped'))).toEqual([])
  })
})

test('rerank gives the order and the scores of the library', async () => {
  const model = ['--model', tiny('rerank-bert'), '--dtype', 'f32']
  const { text } = await good(['rerank', '--json', '-q', 'fox', '-n', '2', ...model], { input: TEXTS.join('\n') })
  const reranker = await Reranker.load(tiny('rerank-bert'), { dtype: 'f32' })
  const ranked = await reranker.rerank('fox', TEXTS, { topN: 2 })
  expect(JSON.parse(text)).toEqual(ranked.map(({ index, score, document }) => ({ index, score, text: document })))
  const plain = (await good(['rerank', '-q', 'fox', ...model], { input: `${TEXTS.join('\n')}\n\u001b[31mred` })).text
  expect(plain.trimEnd().split('\n').length).toBe(4)
  expect(plain).not.toContain('\u001b')
})

describe('search', () => {
  beforeAll(() => {
    mkdirSync(join(folder, 'notes', '.hidden'), { recursive: true })
    put('notes/fox.md', '# Foxes\n\nThe red fox sleeps.\n')
    put('notes/whale.txt', 'The blue whale sings.\n\n'.repeat(30))
    put('notes/.hidden/fox.md', 'hidden fox')
    put('notes/data.csv', 'fox,fox')
  })

  test('finds passages of text files, with their places', async () => {
    const hits = await json<{ score: number; file: string; line: number; text: string }[]>([
      ...['search', 'notes', '# Foxes', 'The red fox sleeps.', '--json', '-n', '3'],
      ...MODEL,
    ])
    expect(hits.length).toBeGreaterThan(1)
    expect(hits[0]).toMatchObject({ file: 'fox.md', line: 1, text: '# Foxes\n\nThe red fox sleeps.' })
    expect(hits.filter(({ file }) => file.includes('hidden') || file.endsWith('.csv'))).toEqual([])
    const table = (await good(['search', 'notes', 'fox', '-n', '2', ...MODEL])).text
    expect(table).toMatch(/^score {2}place .*\n0\.\d{3} /)
  })

  test('a reranker orders what was found', async () => {
    const words = ['search', 'notes', 'fox', '--json', '-n', '1', '--reranker', tiny('rerank-bert')]
    expect(await json<unknown[]>([...words, ...MODEL])).toHaveLength(1)
    const merged = ['--reranker', tiny('bert-mean'), '--reranker-adapter', data('adapters', 'bert-mean-lora')]
    expect(await json<unknown[]>([...words, ...merged, ...MODEL])).toHaveLength(1)
  })

  test('the end of a long paragraph is found, files that are no text are not read', async () => {
    mkdirSync(join(folder, 'long'))
    put('long/one.md', `${'The whale sings. '.repeat(300)}The red fox sleeps in the snow.`)
    put('long/binary.txt', Buffer.from('red fox\0 sleeps in the snow'))
    put('long/mark.md', '\uFEFFThe mark is gone.')
    const words = ['search', 'long', 'The red fox sleeps in the snow.', '--json', '-n', '50', ...MODEL]
    const { code, text, errors } = await run(words)
    expect([code, errors]).toEqual([0, 'passed over, as no text in UTF-8: 1 file\n'])
    const hits = JSON.parse(text) as { file: string; text: string }[]
    expect(hits.some(({ text }) => text.endsWith('sleeps in the snow.'))).toBe(true)
    expect(Math.max(...hits.map(({ text }) => text.length))).toBeLessThanOrEqual(800)
    expect(hits.find(({ file }) => file === 'mark.md')?.text).toBe('The mark is gone.')
    expect(
      hits
        .filter(({ file }) => file === 'one.md')
        .map(({ text }) => text)
        .join(''),
    ).toHaveLength(300 * 17 + 31)
  })

  test('a folder without texts is said', async () => {
    const { code, errors } = await run(['search', 'notes', 'fox', '--ext', 'xyz', ...MODEL])
    expect([code, errors]).toEqual([2, expect.stringContaining('holds no text in files of xyz')])
  })
})

describe('models from a hub', () => {
  const cacheDir = (): string[] => ['--cache-dir', join(folder, 'cache')]

  test('download, list, verify, size, remove', async () => {
    const offline = await run(['download', NAME, '--offline', ...cacheDir()])
    expect([offline.code, offline.errors]).toEqual([1, expect.stringContaining('[ERR_OFFLINE]')])
    const [brought] = await json<[{ folder: string }]>([
      'download',
      NAME,
      '--endpoint',
      hub.endpoint,
      '--json',
      ...cacheDir(),
    ])
    expect(brought).toMatchObject({ name: NAME, revision: COMMIT })
    expect((await good(['download', NAME, '--offline', ...cacheDir()])).text.trim()).toBe(brought.folder)
    expect((await good(['cache', 'list', ...cacheDir()])).text).toMatch(/org\/tiny +\d+\.\d kB +0123456789ab +main/)
    expect(await json(['models', '--json', ...cacheDir()])).toMatchObject([
      { name: NAME, use: ['embed'], architecture: 'bert', dims: 48, folder: brought.folder },
    ])
    expect((await good(['cache', 'verify', ...cacheDir()])).text).toBe('all files are right\n')
    put(`cache/models--org--tiny/blobs/${sha(read('model.safetensors'))}`, 'other')
    const damaged = await run(['cache', 'verify', NAME, '--json', ...cacheDir()])
    expect(damaged.code).toBe(1)
    expect(JSON.parse(damaged.text)).toMatchObject([{ name: NAME }])
    expect((await json<{ freed: number }>(['cache', 'remove', NAME, '--json', ...cacheDir()])).freed).toBeGreaterThan(0)
    const again = await run(['cache', 'remove', NAME, ...cacheDir()])
    expect([again.code, again.errors]).toEqual([
      1,
      expect.stringMatching(/is not in the cache.*\[ERR_MODEL_NOT_FOUND\]/),
    ])
    expect(await json(['cache', 'size', '--json', ...cacheDir()])).toEqual({ folder: join(folder, 'cache'), size: 0 })
    expect(await json(['cache', 'prune', '--json', ...cacheDir()])).toEqual({ freed: 0 })
  })

  test.skipIf(process.platform === 'win32')('Ctrl-C ends a download', async () => {
    hub.silent = true
    const words = ['download', NAME, '--endpoint', hub.endpoint, ...cacheDir()]
    const { code, errors } = await run(words, { later: [1000, (running) => running.kill('SIGINT')] })
    hub.silent = false
    expect([code, errors]).toEqual([130, ''])
  })
})

test('info, presets, models of a folder, bench', async () => {
  const folder = tiny('bert-mean')
  expect(await json(['info', folder, '--json'])).toMatchObject({ model: folder, dims: 48, architecture: 'bert' })
  expect((await good(['info', folder])).text).toMatch(/^dims +48$/m)
  expect(await json(['info', tiny('rerank-bert'), '--task', 'rerank', '--json'])).toMatchObject({ dims: 1 })
  expect((await json<{ preset: string }[]>(['presets', '--json'])).map(({ preset }) => preset)).toEqual([
    'default',
    'performance',
  ])
  expect((await good(['presets'])).text).toMatch(/^maxLength +512 +4096$/m)
  for (const [name, task] of [
    ['splade-bert-own', 'sparse'],
    ['late-pylate', 'late'],
    ['albert-labels', 'classify'],
    ['bge-m3', 'hybrid'],
  ] as const) {
    expect(await json(['info', tiny(name), '--task', task, '--json'])).toMatchObject({ model: tiny(name) })
  }
  const models = await json<{ name: string; use: string[] }[]>(['models', join(tiny('bert-mean'), '..'), '--json'])
  expect(models).toContainEqual(expect.objectContaining({ name: 'rerank-bert', use: ['rerank'] }))
  for (const [name, task] of [
    ['splade-distilbert', 'sparse'],
    ['late-pylate', 'late'],
    ['bge-m3', 'hybrid'],
    ['rerank-qwen3-small', 'rerank'],
  ] as const) {
    expect(models).toContainEqual(expect.objectContaining({ name, use: expect.arrayContaining([task]) }))
  }
  const { workloads } = await json<{ workloads: { texts: number; tokensPerSecond: number }[] }>([
    ...['bench', folder, '--seconds', '1', '--json', '--texts', put('own.txt', 'a\nb\n')],
  ])
  expect(workloads.map(({ texts }) => texts)).toEqual([1, 64, 32, 2])
  for (const { tokensPerSecond } of workloads) expect(tokensPerSecond).toBeGreaterThan(0)
})

describe('doctor', () => {
  test('its JSON is stable', async () => {
    const report = await json<Record<string, object>>(['doctor', '--json'])
    const names = Object.entries(report).map(([name, value]) =>
      value && ['system', 'cpu', 'threads', 'cache'].includes(name) ? `${name}: ${Object.keys(value).join(' ')}` : name,
    )
    expect(names).toEqual([
      'version',
      'binary',
      'problem',
      'system: platform arch libc node electron memory memoryFree',
      'cpu: model cores features kernels kernel problem governor idleStates',
      'threads: used usable cores why',
      'gpus',
      'onnxRuntime',
      'cache: folder models bytes problem',
      'settings',
      'advice',
    ])
    expect(existsSync(String(report.binary))).toBe(true)
  })

  test('fits a screen, shows settings and no secrets', async () => {
    const env = { HF_TOKEN: 'hf_secret', HTTPS_PROXY: 'http://user:secret@proxy:1', HF_HOME: join(folder, 'hf') }
    const { text } = await good(['doctor'], { env })
    expect(text.trimEnd().split('\n').length).toBeLessThan(50)
    for (const row of [
      'package',
      'system',
      'binary',
      'CPU',
      'kernel',
      'threads',
      'GPU',
      'ONNX Runtime',
      'cache',
      'governor',
      'idle states',
    ])
      expect(text).toMatch(new RegExp(`^${row} `, 'm'))
    expect(text).toContain('HTTPS_PROXY=http://(set)@proxy:1')
    expect(text).toContain('HF_TOKEN=(set)')
    expect(text).toContain(join(folder, 'hf', 'hub'))
    expect(text).not.toContain('secret')
  })

  test('says what is wrong with a binary or a setting, and ends with 1 only if nothing works', async () => {
    const broken = await run(['doctor', '--json'], { env: { EMBED_NATIVE_BINDING: put('broken.node', 'no binary') } })
    expect(broken.code).toBe(1)
    expect(JSON.parse(broken.text)).toMatchObject({ problem: expect.stringContaining('does not load'), threads: null })
    const odd = await good(['doctor'], { env: { EMBED_NATIVE_ISA: 'mmx' } })
    expect(odd.text).toMatch(/^kernel +EMBED_NATIVE_ISA names "mmx"/m)
  })
})
