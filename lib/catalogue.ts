/** The models that people use, for help and lists. What a model is and how it runs is decided by its files alone, never here. */
import { basename } from 'node:path'

import list from '../catalogue.json' with { type: 'json' }
import { ModelError } from './errors.js'
import type { Task } from './models-types.js'

/** What the catalogue says of a model, beside its name and its task. */
export type CatalogueFact = 'family' | 'refused' | 'dimensions' | 'maxLength' | 'prompts' | 'licence'

/** A model of the catalogue. null: no source says it, or sources disagree. */
export interface CatalogueModel {
  /** Its name on the Hugging Face hub. */
  readonly id: string
  /** What it is for: one vector, weights of words, a vector a token, scores of pairs, or labels. */
  readonly task: Task
  /** The architecture that runs it, as in docs/models.md: `bert`, `roberta`, … */
  readonly family: string | null
  /** Why this version does not run it; null if nothing is known against it. */
  readonly refused: string | null
  /** Numbers in a vector, a token's for `late`, the vocabulary's size for `sparse`. */
  readonly dimensions: number | null
  /** The most tokens of a text. */
  readonly maxLength: number | null
  /** What goes before a `query` and a `document`; nothing if it is not there. `{instruction}` stands for the task in words. */
  readonly prompts: { readonly query?: string; readonly document?: string } | null
  /** As the hub spells it. */
  readonly licence: string | null
  /** Where each fact stands: an address, of one commit. */
  readonly sources: { readonly [Fact in CatalogueFact]?: string }
}

/** Models that people use, by name. */
export const catalogue: readonly CatalogueModel[] = (list.models as CatalogueModel[]).map((model) =>
  Object.freeze({ ...model, sources: Object.freeze(addresses(model.sources)) }),
)
Object.freeze(catalogue)

/** `mteb:a.py#L1` → the address. */
function addresses(sources: CatalogueModel['sources']): CatalogueModel['sources'] {
  const homes: Record<string, string> = list.sources
  const full = ([fact, place]: [string, string]): [string, string] => {
    const colon = place.indexOf(':')
    return [fact, homes[place.slice(0, colon)] + place.slice(colon + 1)]
  }
  return Object.fromEntries(Object.entries(sources).map(full))
}

/** The fault of loading `model`; where there is no such model, with the one that was probably meant. */
export function withHelp(error: unknown, model: string, adapter?: string): unknown {
  if (!(error instanceof ModelError) || error.code !== 'ERR_MODEL_NOT_FOUND') return error
  // Faults name what is missing.
  if (adapter !== undefined && error.message.includes(basename(adapter))) return error
  const key = lastPart(model)
  const meant = catalogue.find(({ id }) => lastPart(id) === key)?.id
  if (meant === undefined || meant === model) return error
  return new ModelError(error.code, `${error.message}. Did you mean "${meant}"?`, { cause: error })
}

/** `BAAI/bge-m3`, `bge_m3` → `bgem3`. */
function lastPart(name: string): string {
  return name
    .slice(name.lastIndexOf('/') + 1)
    .replace(/[^a-z0-9]/gi, '')
    .toLowerCase()
}
