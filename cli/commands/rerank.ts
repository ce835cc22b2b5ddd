/** `rerank`: documents in the order in which they answer a query. */
import { command, UsageError } from '../command.js'
import { type Item, inputOptions, items } from '../input.js'
import { json, loadReranker, rerankerOptions } from '../model.js'
import { plain } from '../screen.js'

export const rerank = command({
  about: 'documents ordered by how well they answer a query',
  usage: '--query <text> [file…]',
  operands: [0, Infinity],
  options: {
    query: { kind: 'text', short: 'q', about: 'what is asked' },
    ...rerankerOptions,
    ...inputOptions,
    top: { kind: 'number', short: 'n', range: [1, 2 ** 24], about: 'how many to print (all)' },
    score: { kind: 'choice', choices: ['model', 'sigmoid', 'logit'], about: 'which number a document gets' },
    json,
  },
  examples: ["embed-native rerank -q 'what do foxes eat?' -n 3 documents.txt"],
  async run({ operands, options, screen, signal }) {
    const { query, top, score } = options
    if (query === undefined) throw new UsageError('rerank needs a query: --query <text>')
    const documents: Item[] = []
    for await (const item of items(operands, options)) documents.push(item)
    const reranker = await loadReranker(options, screen, signal)
    const ranked = await reranker.rerank(query, documents, { topN: top, score, signal })
    screen.cut(ranked.usage.truncated.length, reranker.info.maxLength, 'their ends were not read')
    const rows = ranked.map(({ index, score, document: { id, text } }) => ({ index, id, score, text }))
    if (options.json) return screen.json(rows)
    for (const { score, text } of rows) await screen.line(`${score.toFixed(4)}\t${plain(text)}`)
  },
})
