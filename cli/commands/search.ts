/** `search`: the passages of a folder's text files that are nearest in meaning to a query. Nothing is kept: each search embeds. */
import { type Embedder, type Match, topK } from '@x/embed-native'

import { command, UsageError } from '../command.js'
import { json, loadEmbedder, loadReranker, modelOptions } from '../model.js'
import { type Passage, passagesOf, TEXT_FILES, textFiles } from '../passages.js'
import { counted, plain, type Screen } from '../screen.js'

/** What is of the embedder alone. */
const OWN = { pooling: undefined, 'onnx-file': undefined }

/** So many of the nearest are read again by a reranker. */
const CANDIDATES = 50

export const search = command({
  about: 'the passages of a folder of text files that are nearest in meaning',
  usage: '<folder> <query…>',
  operands: [2, Infinity],
  options: {
    ...modelOptions,
    top: { kind: 'number', short: 'n', range: [1, 1000], about: 'how many (10)' },
    ext: { kind: 'text', value: 'md,txt', about: `files to read (${TEXT_FILES.join(',')})` },
    reranker: { kind: 'text', value: 'folder|name', about: 'a cross-encoder that orders the nearest again' },
    'reranker-adapter': { kind: 'text', value: 'folder|name', about: 'a LoRA adapter to merge into it' },
    json,
  },
  examples: ["embed-native search ~/notes 'how do I renew the certificate'"],
  async run({ operands: [folder = '', ...words], options, screen, signal }) {
    const { top = 10, ext, reranker, 'reranker-adapter': adapter } = options
    if (adapter !== undefined && reranker === undefined) throw new UsageError('--reranker-adapter needs --reranker')
    const query = words.join(' ')
    const extensions = ext?.split(',').map((name) => name.trim().replace(/^\./, '').toLowerCase()) ?? TEXT_FILES
    const files = await textFiles(folder, extensions)
    const passages: Passage[] = []
    let binary = 0
    for (const file of files) {
      const found = await passagesOf(file, folder)
      if (found) passages.push(...found)
      else binary++
    }
    if (binary > 0) screen.remark(`passed over, as no text in UTF-8: ${counted(binary, 'file')}`)
    if (passages.length === 0) throw new UsageError(`${folder} holds no text in files of ${extensions.join(', ')}`)
    const count = reranker === undefined ? top : Math.max(top, CANDIDATES)
    const embedder = await loadEmbedder(options, screen, signal)
    const near = await nearest(embedder, query, passages, { count, screen, signal })
    let hits: Hit[] = near.map(({ index, score }) => ({ score, ...passages[index]! }))
    if (reranker !== undefined) {
      const model = await loadReranker({ ...options, ...OWN, model: reranker, adapter }, screen, signal)
      const ranked = await model.rerank(query, hits, { topN: top, signal })
      hits = ranked.map(({ score, document }) => ({ ...document, score }))
    }
    if (options.json) return screen.json(hits)
    await screen.table(['score', 'place', 'text'], hits.map(row))
  },
})

type Hit = Passage & { score: number }

async function nearest(
  embedder: Embedder,
  query: string,
  passages: readonly Passage[],
  { count, screen, signal }: { count: number; screen: Screen; signal: AbortSignal },
): Promise<Match[]> {
  const bar = screen.bar('embedding')
  const onProgress = ({ done, total }: { done: number; total: number }): void => bar.update(done, total, 'passages')
  const texts = passages.map(({ text }) => text)
  // Writing that needs a token a character makes even a short passage too long.
  const options = { output: 'matrix', onOverflow: 'chunk', onProgress, signal } as const
  const matrix = await embedder.embedDocument(texts, options).finally(() => bar.stop())
  return topK(await embedder.embedQuery(query, { signal }), matrix, count, { signal })
}

function row({ score, file, line, text }: Hit): [string, string, string] {
  const width = Math.max(40, (process.stdout.columns ?? 120) - file.length - String(line).length - 12)
  const excerpt = plain(text)
  return [
    score.toFixed(3),
    `${plain(file)}:${line}`,
    excerpt.length > width ? `${excerpt.slice(0, width - 1)}…` : excerpt,
  ]
}
