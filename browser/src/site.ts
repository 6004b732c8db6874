/** The pages of this folder as a production bundle, and a server of its files. */
import { createReadStream } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const pages = fileURLToPath(new URL('../pages', import.meta.url))
const fixtures = fileURLToPath(new URL('../../fixtures', import.meta.url))

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
}

/** What makes a page cross-origin isolated, so that it has shared memory. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
}

/** Serves a folder, and the fixtures under /fixtures/. */
async function serveFolder(folder: string, headers: Readonly<Record<string, string>>): Promise<Server> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)
    const root = path.startsWith('/fixtures/') ? fixtures : folder
    const file = resolve(root, `.${root === fixtures ? path.slice('/fixtures'.length) : path}`)
    const found = file.startsWith(root + sep) ? stat(file) : Promise.reject(new Error('outside'))
    found.then(
      ({ size }) => {
        const type = types[extname(file)] ?? 'application/octet-stream'
        response.writeHead(200, { ...headers, 'Content-Type': type, 'Content-Length': size })
        createReadStream(file).pipe(response)
      },
      () => response.writeHead(404, headers).end(),
    )
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return server
}

/** A policy that forbids scripts out of blobs, of which threads are started. */
const strict = {
  ...isolation,
  'Content-Security-Policy': "default-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; img-src 'self' data:",
}

const address = (server: Server): string => `http://localhost:${(server.address() as AddressInfo).port}/`

/** A site that is up. */
export interface Site {
  /** Folder of the bundle. */
  readonly folder: string
  /** What the bundler complained of. */
  readonly warnings: readonly string[]
  /** Address of the server whose pages are cross-origin isolated. */
  readonly isolated: string
  /** Address of the one whose pages are not. */
  readonly plain: string
  /** Address of one whose pages are isolated and may start no threads: its Content-Security-Policy forbids it. */
  readonly strict: string
  close(): Promise<void>
}

/** Bundles all pages as Vite does for production, minified, and serves them. */
export async function site(): Promise<Site> {
  const folder = await mkdtemp(join(tmpdir(), 'convnets-site-'))
  const warnings: string[] = []
  const html = (await readdir(pages)).filter((name) => extname(name) === '.html')
  await build({
    configFile: false,
    root: pages,
    mode: 'production',
    logLevel: 'silent',
    worker: { format: 'es' },
    build: {
      outDir: folder,
      emptyOutDir: true,
      minify: true,
      target: 'es2022',
      // All pages and all packages; users have one.
      chunkSizeWarningLimit: 4000,
      rollupOptions: {
        input: html.map((name) => join(pages, name)),
        checks: { pluginTimings: false },
        onLog: (_, { message }) => warnings.push(message),
      },
    },
  })
  const servers = await Promise.all([isolation, {}, strict].map((headers) => serveFolder(folder, headers)))
  const [isolated = '', plain = '', forbidding = ''] = servers.map(address)
  return {
    folder,
    warnings,
    isolated,
    plain,
    strict: forbidding,
    async close() {
      for (const server of servers) {
        server.closeAllConnections()
        await new Promise((closed) => server.close(closed))
      }
      await rm(folder, { recursive: true, force: true })
    },
  }
}
