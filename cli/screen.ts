/**
 * Where output goes: results to stdout, at the speed of who reads them; progress and remarks to stderr. A reader that goes away
 * (`| head`) ends the program quietly.
 */
import { once } from 'node:events'
import progress from 'cli-progress'
import width from 'string-width'

/** A cell of a table. */
export type Cell = string | number | undefined

/** A bar on stderr. */
export interface Bar {
  /** `note` stands behind the numbers. */
  update(done: number, total: number, note?: string): void
  stop(): void
}

/** stdout and stderr. */
export class Screen {
  /** Whether a person reads stdout. */
  readonly isTerminal: boolean = Boolean(process.stdout.isTTY)

  /** Writes; resolves when there is room for more. */
  async write(data: string | Uint8Array): Promise<void> {
    if (!process.stdout.write(data)) await once(process.stdout, 'drain')
  }

  /** Writes a line. */
  async line(text: string): Promise<void> {
    await this.write(`${text}\n`)
  }

  /** Writes a value as JSON: one line for a program, several for a person. */
  async json(value: unknown): Promise<void> {
    await this.line(JSON.stringify(value, undefined, this.isTerminal ? 2 : undefined))
  }

  /** Writes rows under a head, if there is one. Numbers stand right. */
  async table(head: readonly string[], rows: readonly (readonly Cell[])[]): Promise<void> {
    const text = rows.map((row) => row.map((cell) => (cell === undefined ? '' : plain(String(cell)))))
    const widths = head.map((title, column) => Math.max(width(title), ...text.map((row) => width(row[column] ?? ''))))
    const numeric = head.map((_, column) => rows.every((row) => typeof row[column] === 'number'))
    const format = (cells: readonly string[]): string =>
      cells.map((cell, column) => pad(cell, widths[column] ?? 0, numeric[column] ?? false)).join('  ')
    const titled = head.some((title) => title !== '')
    for (const cells of titled ? [head, ...text] : text) await this.line(format(cells).trimEnd())
  }

  /** A remark on stderr. */
  remark(text: string): void {
    process.stderr.write(`${text}\n`)
  }

  /** Says on stderr that texts were read only up to a limit, if any were. */
  cut(texts: number, tokens: number, remedy: string): void {
    if (texts === 0) return
    this.remark(`${counted(texts, 'text')} ${texts === 1 ? 'was' : 'were'} cut to ${tokens} tokens; ${remedy}`)
  }

  /** A bar, where a person looks on; elsewhere one that does nothing. */
  bar(label: string): Bar {
    const options = { format: `${label} {bar} {percentage}% {note}`, clearOnComplete: true, hideCursor: null }
    const bar = new progress.SingleBar({ ...options, noTTYOutput: false, stream: process.stderr })
    let begun = false
    return {
      update(done, total, note = '') {
        if (!begun) bar.start(total, done, { note })
        begun = true
        bar.setTotal(total)
        bar.update(done, { note })
      },
      stop: () => bar.stop(),
    }
  }

  /** A count without an end, where a person looks on. */
  counter(unit: string): { update(done: number): void; stop(): void } {
    if (!process.stderr.isTTY) return { update: () => {}, stop: () => {} }
    const start = performance.now()
    let last = 0
    return {
      update(done) {
        const now = performance.now()
        if (now - last < 100) return
        last = now
        const rate = Math.round((done / (now - start)) * 1000)
        process.stderr.write(`\r\x1b[2K${done.toLocaleString('en')} ${unit} · ${rate.toLocaleString('en')}/s`)
      },
      stop: () => void process.stderr.write('\r\x1b[2K'),
    }
  }
}

/** One line without control characters: what a file holds must not steer the terminal. */
export function plain(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/\p{Cc}/gu, '')
}

function pad(text: string, columns: number, right: boolean): string {
  const space = ' '.repeat(Math.max(0, columns - width(text)))
  return right ? space + text : text + space
}

/** `1 file`, `2 files`. */
export function counted(count: number, thing: string): string {
  return count === 1 ? `1 ${thing}` : `${count} ${thing}s`
}

/** `12.3 MB`, in powers of ten. */
export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3))
  return `${(count / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`
}
