/** Chapter 2b: the catalogue of known models, which helps and decides nothing. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CatalogueModel, catalogue, Embedder } from '@x/embed-native'
import { beforeAll, expect, test } from 'vitest'

import { checkFault, data, root, tiny } from './support.js'

const TASKS = ['embed', 'sparse', 'late', 'rerank', 'classify']
const FACTS = ['family', 'refused', 'dimensions', 'maxLength', 'prompts', 'licence'] as const

/** An address of one commit. */
const PINNED = /^https:\/\/(github\.com|huggingface\.co)\/[\w.-]+\/[\w.-]+\/(blob|tree|commit)\/[0-9a-f]{40}(\/|$)/

const counted = (value: number | null): boolean => value === null || (Number.isInteger(value) && value > 0)
const said = (value: string | null): boolean => value === null || value.trim() !== ''

/** The files of crates/models, by the list that decides what runs. */
let families: string[]

beforeAll(async () => {
  const page = await import(join(root, 'scripts', 'models-page.mjs'))
  families = page.architectures().map(({ file }: { file: string }) => file)
  expect(families).toContain('bert')
})

test('it is sorted by name, and each model is there once', () => {
  const ids = catalogue.map(({ id }) => id.toLowerCase())
  expect(ids).toEqual([...new Set(ids)].sort())
  expect(ids.length).toBeGreaterThan(100)
})

test.for(catalogue.map((model) => [model.id, model] as const))('%s is whole', ([, model]) => {
  expect(Object.keys(model)).toEqual(['id', 'task', ...FACTS, 'sources'])
  expect(model.id).toMatch(/^[\w.-]+\/[\w.-]+$/)
  expect(TASKS).toContain(model.task)
  expect(counted(model.dimensions), 'dimensions').toBe(true)
  expect(counted(model.maxLength), 'maxLength').toBe(true)
  for (const text of [model.family, model.refused, model.licence]) expect(said(text)).toBe(true)
  for (const [name, text] of Object.entries(model.prompts ?? {})) {
    expect(['query', 'document']).toContain(name)
    expect(said(text)).toBe(true)
  }
})

test.for(catalogue.map((model) => [model.id, model] as const))('%s has the source of every fact', ([, model]) => {
  const facts = FACTS.filter((fact) => model[fact] !== null)
  expect(Object.keys(model.sources).sort()).toEqual([...facts].sort())
  for (const address of Object.values(model.sources)) expect(address).toMatch(PINNED)
})

test('an architecture that is not in the list is refused with the reason', () => {
  const runs = (model: CatalogueModel): boolean => model.family !== null && families.includes(model.family)
  expect(catalogue.filter((model) => !runs(model) && model.refused === null)).toEqual([])
  expect(catalogue.filter(({ family }) => family !== null && !families.includes(family))).toEqual([])
})

test('vectors have a length, labels and scores have none', () => {
  const wrong = catalogue.filter(({ task, dimensions }) => ['rerank', 'classify'].includes(task) && dimensions !== null)
  expect(wrong).toEqual([])
})

test('nobody changes it', () => {
  expect(Object.isFrozen(catalogue)).toBe(true)
  expect(catalogue.every((model) => Object.isFrozen(model) && Object.isFrozen(model.sources))).toBe(true)
})

test.for([
  ['all-MiniLM-L6-v2', 'sentence-transformers/all-MiniLM-L6-v2'],
  ['./models/bge_m3', 'BAAI/bge-m3'],
  ['minilm/ALL-MINILM-L6-v2/', undefined],
  ['no-such-model', undefined],
] as const)('a model that is not found: %s', async ([name, meant]) => {
  const error = await checkFault(Embedder.load(name, { offline: true }), 'ERR_MODEL_NOT_FOUND')
  if (meant) expect(error.message).toContain(`Did you mean "${meant}"?`)
  else expect(error.message).not.toContain('Did you mean')
})

test('an adapter that is not found, or is none, is not taken for its model', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'embed-native-'))
  const model = join(folder, 'all-MiniLM-L6-v2')
  cpSync(tiny('bert-mean'), model, { recursive: true })
  for (const adapter of [join(folder, 'none'), folder]) {
    const { message } = await checkFault(Embedder.load(model, { adapter }), 'ERR_MODEL_NOT_FOUND')
    expect(message).toContain(adapter)
    expect(message).not.toContain('Did you mean')
  }
  const adapter = data('adapters', 'bert-mean-lora')
  const { message } = await checkFault(Embedder.load('all-MiniLM-L6-v2', { adapter }), 'ERR_MODEL_NOT_FOUND')
  expect(message).toContain('Did you mean "sentence-transformers/all-MiniLM-L6-v2"?')
  rmSync(folder, { recursive: true })
})
