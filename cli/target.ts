/**
 * Where bytes go: stdout, a pipe or a file. A file appears whole or not at all: it is written beside itself and renamed.
 */
import { randomUUID } from 'node:crypto'
import { type FileHandle, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'

import type { Screen } from './screen.js'
import { unwritable } from './system.js'

/** Takes bytes in order. `head` replaces the first ones, of the same number, at the end. */
export interface Target {
  write(data: string | Uint8Array): Promise<void>
  end(head?: Uint8Array): Promise<void>
  /** Leaves nothing behind. */
  discard(): Promise<void>
}

/** stdout. */
export async function standardOutput(screen: Screen, headLater: boolean): Promise<Target> {
  const write = (data: string | Uint8Array): Promise<void> => screen.write(data)
  return headLater ? spooled(write) : { write, end: async () => {}, discard: async () => {} }
}

/** What passes cannot be gone back in: where the head is known only at the end, everything waits in a temporary file. */
async function spooled(
  pass: (data: Uint8Array) => Promise<void>,
  close: () => Promise<void> = async () => {},
): Promise<Target> {
  const path = join(tmpdir(), `embed-native-${randomUUID()}.part`)
  const file = await onPath(path, open(path, 'wx+', 0o600))
  // Its name is not needed any more, where the system can do without.
  await rm(path).catch(() => {})
  const written = into(path, file)
  return {
    write: written.append,
    async end(head) {
      if (head) await written.at(head, 0)
      const buffer = Buffer.alloc(1 << 18)
      for (let at = 0; ; ) {
        const { bytesRead } = await file.read(buffer, 0, buffer.length, at)
        if (bytesRead === 0) break
        await pass(Buffer.from(buffer.subarray(0, bytesRead)))
        at += bytesRead
      }
      await Promise.all([file.close(), close()])
      await rm(path, { force: true })
    },
    async discard() {
      await Promise.all([file.close().catch(() => {}), close().catch(() => {})])
      await rm(path, { force: true })
    },
  }
}

/** A file, which is replaced; a device or a pipe, which is written to. */
export async function outputFile(path: string, headLater: boolean): Promise<Target> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return replacing(path)
  if (found.isFile()) return replacing(await realpath(path), found.mode)
  const file = await onPath(path, open(path, 'w'))
  const close = (): Promise<void> => onPath(path, file.close())
  const write = (data: string | Uint8Array): Promise<void> => onPath(path, file.writeFile(data))
  return headLater ? spooled(write, close) : { write, end: close, discard: close }
}

/** What fails names the file that was asked for. */
async function onPath<Done>(path: string, work: Promise<Done>): Promise<Done> {
  try {
    return await work
  } catch (error) {
    throw unwritable(path, error)
  }
}

/** Writes behind one another, and in between. */
function into(path: string, file: FileHandle): { append(data: string | Uint8Array): Promise<void>; at: typeof put } {
  let end = 0
  async function put(data: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < data.length; ) {
      done += (await onPath(path, file.write(data, done, data.length - done, position + done))).bytesWritten
    }
  }
  return {
    at: put,
    async append(data) {
      const bytes = typeof data === 'string' ? Buffer.from(data) : data
      await put(bytes, end)
      end += bytes.length
    },
  }
}

/** Removes what processes that were killed left beside a file. */
async function tidy(path: string): Promise<void> {
  const name = basename(path)
  for (const entry of await readdir(dirname(path)).catch(() => [])) {
    const pid = entry.startsWith(`${name}.`) && /^(\d+)\.part$/.exec(entry.slice(name.length + 1))?.[1]
    if (pid && !isAlive(Number(pid))) await rm(join(dirname(path), entry), { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** A file that is written beside itself. */
async function replacing(path: string, mode?: number): Promise<Target> {
  await tidy(path)
  const part = `${path}.${process.pid}.part`
  const file = await onPath(path, open(part, 'wx', mode))
  const written = into(path, file)
  return {
    write: written.append,
    async end(head) {
      if (head) await written.at(head, 0)
      await onPath(path, file.sync())
      await onPath(path, file.close())
      await onPath(path, rename(part, path))
    },
    async discard() {
      await file.close().catch(() => {})
      await rm(part, { force: true })
    },
  }
}
