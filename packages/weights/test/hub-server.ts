/** A server on this machine that plays a hub of weights, well and badly. */
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** How one file is answered; called for every request with how many came before. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse, before: number) => void

export interface HubServer {
  readonly base: string
  /** Path, range and validators of every request so far. */
  readonly requests: {
    readonly path: string
    readonly range: string | undefined
    readonly ifNoneMatch: string | undefined
  }[]
  serve(path: string, behaviour: Behaviour): void
  close(): Promise<void>
}

export async function startHub(): Promise<HubServer> {
  const files = new Map<string, Behaviour>()
  const requests: HubServer['requests'] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    const before = requests.filter((one) => one.path === path).length
    requests.push({ path, range: request.headers.range, ifNoneMatch: request.headers['if-none-match'] })
    const behaviour = files.get(path)
    if (behaviour) behaviour(request, response, before)
    else response.writeHead(404).end('no such file')
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  return {
    base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    serve: (path, behaviour) => void files.set(path, behaviour),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A file as a good server gives it: ETag, conditional requests, ranges. `limit` cuts the connection after so many bytes. */
export function file(
  bytes: Uint8Array,
  { etag = `"${sha256(bytes).slice(0, 8)}"`, limit = Number.POSITIVE_INFINITY }: { etag?: string; limit?: number } = {},
): Behaviour {
  return (request, response) => {
    const { range, 'if-range': ifRange, 'if-none-match': ifNoneMatch } = request.headers
    if (ifNoneMatch === etag) {
      response.writeHead(304, { etag }).end()
      return
    }
    const from = range && ifRange === etag ? Number(/^bytes=(\d+)-$/.exec(range)?.[1]) : 0
    if (from >= bytes.length) {
      response.writeHead(416).end()
      return
    }
    const headers = { etag, 'content-length': String(bytes.length - from) }
    if (from > 0) {
      response.writeHead(206, { ...headers, 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` })
    } else response.writeHead(200, headers)
    if (from + limit >= bytes.length) response.end(bytes.subarray(from))
    else response.write(bytes.subarray(from, from + limit), () => setTimeout(() => response.destroy(), 20))
  }
}
