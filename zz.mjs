import { Embedder, topK } from '@x/embed-native'
const embedder = await Embedder.load('__test__/data/tiny-models/bert-mean', { dtype: 'f32', threads: 1 })
await embedder.embed(Array.from({ length: 2000 }, (_, i) => `warm ${i}`))
import { openSync, readSync } from 'node:fs'
const fd = openSync('/proc/self/schedstat'), buf = Buffer.alloc(100)
const now = () => { const n = readSync(fd, buf, 0, 100, 0); return performance.now() - Number(buf.toString('latin1', 0, n).split(' ')[1]) / 1e6 }
async function longest(work) { let l = 0, last = now(), done = false; const turn = () => { const n = now(); l = Math.max(l, n - last); last = n; if (!done) setImmediate(turn) }; setImmediate(turn); await work(); turn(); done = true; return l }
const texts = Array.from({ length: 5000 }, (_, i) => `text number ${i}, and a few words more to read`)
const cases = { five: () => embedder.embed(texts), matrix: () => embedder.embed(texts, { output: 'matrix' }), array: () => embedder.embed(texts, { output: 'array' }), calls: () => Promise.all(texts.slice(0, 2000).map((t) => embedder.embed(t))), four: () => Promise.all([0, 1, 2, 3].map(() => embedder.embed(texts))), count: () => embedder.countTokens(texts) }
for (const [n, w] of Object.entries(cases)) { const r = []; for (let i = 0; i < 15; i++) r.push(await longest(w)); r.sort((a, b) => a - b); console.log(n, 'min', r[0].toFixed(1), 'median', r[7].toFixed(1), 'max', r[14].toFixed(1)) }
const t0 = performance.now(); const p = texts.slice(0, 2000).map((t) => embedder.embed(t)); console.log('sync part of 2000 calls', performance.now() - t0); await Promise.all(p)
