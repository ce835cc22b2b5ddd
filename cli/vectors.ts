/** Vectors on their way out: JSONL, raw little-endian f32, or NumPy's .npy. */
import { endianness } from 'node:os'

import type { Item } from './input.js'
import type { Target } from './target.js'

/** The forms. */
export const FORMS = ['jsonl', 'f32', 'npy'] as const
export type Form = (typeof FORMS)[number]

/** Writes vectors, one at a time. */
export class VectorWriter {
  readonly #target: Target
  readonly #form: Form
  readonly #withText: boolean
  #rows = 0
  readonly #dims: number

  private constructor(target: Target, form: Form, dims: number, withText: boolean) {
    this.#target = target
    this.#form = form
    this.#dims = dims
    this.#withText = withText
  }

  static async begin(target: Target, form: Form, dims: number, withText: boolean): Promise<VectorWriter> {
    if (form === 'npy') await target.write(npyHead(0, dims))
    return new VectorWriter(target, form, dims, withText)
  }

  async add(vector: Float32Array, { text, id }: Item): Promise<void> {
    const index = this.#rows++
    if (this.#form !== 'jsonl') return this.#target.write(littleEndian(vector))
    const row = { index, id, ...(this.#withText && { text }), embedding: Array.from(vector, shortest) }
    await this.#target.write(`${JSON.stringify(row)}\n`)
  }

  async end(): Promise<void> {
    await this.#target.end(this.#form === 'npy' ? npyHead(this.#rows, this.#dims) : undefined)
  }
}

/** Nine digits are enough to get the same f32 back. */
function shortest(value: number): number {
  return Number(value.toPrecision(9))
}

function littleEndian(vector: Float32Array): Uint8Array {
  const bytes = Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
  return endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32()
}

/**
 * The head of a .npy file, version 1.0, always 128 bytes: numpy/lib/format.py says that it is a multiple of 64 and filled with
 * spaces.
 */
export function npyHead(rows: number, dims: number): Uint8Array {
  const SIZE = 128
  const head = Buffer.alloc(SIZE, ' ')
  head.write('\x93NUMPY\x01\x00', 0, 'latin1')
  head.writeUInt16LE(SIZE - 10, 8)
  head.write(`{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${dims}), }`, 10, 'latin1')
  head.write('\n', SIZE - 1, 'latin1')
  return head
}
