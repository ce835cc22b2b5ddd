/** Random BERTs of real sizes, made on the spot: only their speed and memory mean anything. */
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** Layers, width, heads, width of the middle. */
export const SHAPES = { minilm: [6, 384, 12, 1536], base: [12, 768, 12, 3072], large: [24, 1024, 16, 4096] }

/** Name and shape of every tensor. */
function tensors(layers, width, wide, vocabulary, positions) {
  const all = [
    ['embeddings.word_embeddings.weight', [vocabulary, width]],
    ['embeddings.position_embeddings.weight', [positions, width]],
    ['embeddings.token_type_embeddings.weight', [2, width]],
    ['embeddings.LayerNorm.weight', [width]],
    ['embeddings.LayerNorm.bias', [width]],
  ]
  for (let layer = 0; layer < layers; layer++) {
    const at = `encoder.layer.${layer}`
    const linear = (name, outputs, inputs) =>
      all.push([`${at}.${name}.weight`, [outputs, inputs]], [`${at}.${name}.bias`, [outputs]])
    for (const name of ['query', 'key', 'value']) linear(`attention.self.${name}`, width, width)
    linear('attention.output.dense', width, width)
    linear('intermediate.dense', wide, width)
    linear('output.dense', width, wide)
    for (const name of ['attention.output.LayerNorm', 'output.LayerNorm']) {
      all.push([`${at}.${name}.weight`, [width]], [`${at}.${name}.bias`, [width]])
    }
  }
  return all
}

/** Numbers that look like chance, of the size that keeps sums of a row near 1. */
function numbers(count, scale, seed) {
  const values = new Float32Array(count)
  let state = seed * 2654435761 + 1
  for (let index = 0; index < count; index++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    values[index] = (state / 2 ** 31) * scale
  }
  return values
}

function writeWeights(file, all) {
  const header = {}
  let offset = 0
  for (const [name, shape] of all) {
    const bytes = 4 * shape.reduce((product, size) => product * size, 1)
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + bytes] }
    offset += bytes
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  const descriptor = openSync(file, 'w')
  writeSync(descriptor, length)
  writeSync(descriptor, json)
  for (const [seed, [name, shape]] of all.entries()) {
    const count = shape.reduce((product, size) => product * size, 1)
    const isNorm = name.endsWith('LayerNorm.weight')
    const values = isNorm ? new Float32Array(count).fill(1) : numbers(count, 1.7 / Math.sqrt(shape.at(-1)), seed + 1)
    for (let done = 0; done < values.byteLength; ) done += writeSync(descriptor, new Uint8Array(values.buffer, done))
  }
  closeSync(descriptor)
}

/** Writes such a model with the tokenizer and pipeline of the folder `like`; gives its folder. */
export function makeBert(folder, [layers, width, heads, wide], like) {
  mkdirSync(join(folder, '1_Pooling'), { recursive: true })
  const config = JSON.parse(readFileSync(join(like, 'config.json'), 'utf8'))
  const sizes = { hidden_size: width, num_hidden_layers: layers, num_attention_heads: heads, intermediate_size: wide }
  Object.assign(config, sizes, { max_position_embeddings: 512 })
  const json = (name, value) => writeFileSync(join(folder, name), JSON.stringify(value))
  json('config.json', config)
  json('sentence_bert_config.json', { max_seq_length: 512, do_lower_case: false })
  json(join('1_Pooling', 'config.json'), { word_embedding_dimension: width, pooling_mode_mean_tokens: true })
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'modules.json']) {
    copyFileSync(join(like, name), join(folder, name))
  }
  writeWeights(join(folder, 'model.safetensors'), tensors(layers, width, wide, config.vocab_size, 512))
  return folder
}
