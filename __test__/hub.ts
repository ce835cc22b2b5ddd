/** A hub on loopback that answers as the real one does, with one model. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { data, tiny } from './support.js'

/** The model's name. */
export const NAME = 'org/tiny'
/** The commit of its branch `main`. */
export const COMMIT = '0123456789abcdef0123456789abcdef01234567'

const filesOf = (folder: string): string[] =>
  (readdirSync(folder, { recursive: true }) as string[])
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => statSync(join(folder, path)).isFile())

/** The bytes of one of its files. */
export const read = (path: string): Buffer => readFileSync(join(tiny('bert-mean'), path))

/** A SHA-256 in hexadecimal digits. */
export const sha = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

const listing = (folder: string): string =>
  JSON.stringify({
    sha: COMMIT,
    siblings: filesOf(folder).map((rfilename) => {
      const bytes = readFileSync(join(folder, rfilename))
      return { rfilename, size: bytes.length, lfs: { sha256: sha(bytes), size: bytes.length } }
    }),
  })

/** A hub that runs. */
export interface Hub {
  endpoint: string
  /** The paths that were asked for. */
  asked: string[]
  /** Answers never come. */
  silent: boolean
  close(): void
}

/** How it is started. */
interface Setting {
  /** The model's folder. */
  folder?: string
  /** With a certificate of an authority that nobody knows. */
  secure?: boolean
}

/** Starts one. */
export async function startHub({ folder = tiny('bert-mean'), secure = false }: Setting = {}): Promise<Hub> {
  const answer: RequestListener = (request, response) => {
    const url = request.url ?? ''
    hub.asked.push(url)
    if (hub.silent) return
    const file = url.split(`/${NAME}/resolve/${COMMIT}/`)[1]
    if (url.startsWith(`/api/models/${NAME}/revision/main`)) response.end(listing(folder))
    else if (file && filesOf(folder).includes(file)) response.end(readFileSync(join(folder, file)))
    else response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end()
  }
  const [cert, key] = ['certificate.pem', 'key.pem'].map((name) => readFileSync(data('tls', name)))
  const server = secure ? createSecureServer({ cert, key }, answer) : createServer(answer)
  const close = (): void => {
    server.closeAllConnections()
    server.close()
  }
  const hub: Hub = { endpoint: '', asked: [], silent: false, close }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  hub.endpoint = `${secure ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`
  return hub
}
