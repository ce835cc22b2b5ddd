/** The list of commands, as help shows it: one file and one line each. */
import type { Command } from '../command.js'
import { bench } from './bench.js'
import { cache } from './cache.js'
import { convert } from './convert.js'
import { doctor } from './doctor.js'
import { download } from './download.js'
import { embed } from './embed.js'
import { info } from './info.js'
import { models } from './models.js'
import { presets } from './presets.js'
import { rerank } from './rerank.js'
import { search } from './search.js'

const all = { embed, rerank, search, models, info, download, cache, convert, presets, bench, doctor }

/** By name. */
export const commands: ReadonlyMap<string, Command> = new Map(Object.entries(all) as unknown as [string, Command][])
