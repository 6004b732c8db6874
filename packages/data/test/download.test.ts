import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { cacheFolder, download, type RemoteFile } from '../src/download.ts'
import { DownloadError, type DownloadProgress, fashionMnist } from '../src/index.ts'

const contents = (seed: number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * seed) & 255))

const bodies = new Map([
  ['a.bin', contents(7, 200_000)],
  ['b.bin', contents(13, 1_000)],
])

const files: readonly RemoteFile[] = [...bodies].map(([name, body]) => ({
  name,
  bytes: body.length,
  sha256: createHash('sha256').update(body).digest('hex'),
}))

/** Ways in which a server answers, by the first part of the address. */
const manners: Readonly<Record<string, (response: ServerResponse, body: Buffer) => void>> = {
  good: (response, body) => response.end(body),
  moved: (response) => response.writeHead(302, { location: '/good/a.bin' }).end(),
  broken: (response) => response.writeHead(503).end('try later'),
  missing: (response) => response.writeHead(404).end(),
  short: (response, body) => response.end(body.subarray(0, -1)),
  long: (response, body) => response.end(Buffer.concat([body, Buffer.from('!')])),
  endless: (response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  },
  wrong: (response, body) => response.end(Buffer.concat([body.subarray(0, -1), Buffer.from('!')])),
  cut: (response, body) => {
    response.writeHead(200, { 'content-length': body.length })
    response.write(body.subarray(0, 100), () => response.destroy())
  },
  stalled: (response, body) => void response.write(body.subarray(0, 100)),
}

let server: Server
let base: string
let folder: string
const requests: string[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    const [, manner = '', name = ''] = request.url?.split('/') ?? []
    requests.push(request.url ?? '')
    response.on('error', () => {})
    manners[manner]?.(response, bodies.get(name) ?? Buffer.from('not a file'))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(async () => {
  requests.length = 0
  folder = await mkdtemp(join(tmpdir(), 'convnets-download-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

const from = (...names: string[]): string[] => names.map((name) => `${base}/${name}`)

describe('download', () => {
  test('puts whole files into a folder that it makes, and tells how far it is', async () => {
    const to = join(folder, 'x', 'y')
    const progress: DownloadProgress[] = []
    await download(files, { from: from('good'), to, onProgress: (step) => progress.push(step) })
    for (const [name, body] of bodies) expect(await readFile(join(to, name))).toEqual(body)
    expect((await readdir(to)).sort()).toEqual(['a.bin', 'b.bin'])
    expect(progress.at(-1)).toEqual({ file: 'b.bin', receivedBytes: 201_000, totalBytes: 201_000 })
    const received = progress.map(({ receivedBytes }) => receivedBytes)
    expect(received).toEqual(received.toSorted((a, b) => a - b))
    expect(new Set(progress.map(({ totalBytes }) => totalBytes))).toEqual(new Set([201_000]))
  })

  test('happens once: what is there is not asked for again', async () => {
    await writeFile(join(folder, 'a.bin'), 'mine')
    await download(files, { from: from('good/'), to: folder })
    await download(files, { from: from('good/'), to: folder })
    expect(requests).toEqual(['/good/b.bin'])
    expect(await readFile(join(folder, 'a.bin'), 'utf8')).toBe('mine')
  })

  test.each([
    ['broken', /answered with status 503/],
    ['missing', /answered with status 404/],
    ['short', /ended after 199999 of 200000 bytes/],
    ['long', /sent more than the expected 200000 bytes/],
    ['endless', /sent more than the expected 200000 bytes/],
    ['wrong', /sent contents with SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}/],
    ['cut', /terminated|other side closed/],
  ])('a server that is %s leaves no file', async (manner, message) => {
    const error = await download(files, { from: from(manner), to: folder }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(DownloadError)
    expect(error).toMatchObject({ urls: [`${base}/${manner}/a.bin`], message: expect.stringMatching(message) })
    expect((error as Error).message).toContain('a.bin could not be downloaded: ')
    expect(await readdir(folder)).toEqual([])
  })

  test('nobody there', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => closed.once('listening', resolve))
    const { port } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    const attempt = download(files, { from: [`http://127.0.0.1:${port}`], to: folder })
    await expect(attempt).rejects.toThrow(DownloadError)
    await expect(attempt).rejects.toThrow(/ECONNREFUSED/)
  })

  test('the next address is tried, and redirects are followed', async () => {
    await download(files.slice(0, 1), { from: from('broken', 'wrong', 'moved'), to: folder })
    expect(requests).toEqual(['/broken/a.bin', '/wrong/a.bin', '/moved/a.bin', '/good/a.bin'])
    expect(await readFile(join(folder, 'a.bin'))).toEqual(bodies.get('a.bin'))
    await expect(download(files, { from: from('broken', 'short'), to: folder })).rejects.toThrow(
      /b\.bin could not be downloaded: .*broken\/b\.bin: answered with status 503; .*short\/b\.bin: ended after 999/,
    )
  })

  test('stops when told, with the reason given, and leaves no file', async () => {
    const reason = new Error('enough')
    await expect(download(files, { from: from('good'), to: folder, signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    )
    expect(requests).toEqual([])
    const controller = new AbortController()
    const attempt = download(files, {
      from: from('stalled', 'good'),
      to: folder,
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    })
    await expect(attempt).rejects.toBe(reason)
    expect(requests).toEqual(['/stalled/a.bin'])
    expect(await readdir(folder)).toEqual([])
  })

  test('two at once do not disturb each other', async () => {
    const both = [1, 2].map(() => download(files, { from: from('good'), to: folder }))
    await Promise.all(both)
    for (const [name, body] of bodies) expect(await readFile(join(folder, name))).toEqual(body)
    expect(await readdir(folder)).toHaveLength(2)
  })

  test('a folder that cannot be made is the error of the file system, and no other address is tried', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(download(files, { from: from('good'), to: join(folder, 'file', 'x') })).rejects.toMatchObject({
      code: 'ENOTDIR',
    })
    expect(requests).toEqual([])
  })
})

describe('the cache', () => {
  test('is where XDG says, or in the home folder', () => {
    vi.stubEnv('XDG_CACHE_HOME', '/somewhere')
    expect(cacheFolder('x')).toBe(join('/somewhere', 'convnets', 'x'))
    for (const useless of ['', 'relative/path']) {
      vi.stubEnv('XDG_CACHE_HOME', useless)
      expect(cacheFolder('x')).toBe(join(homedir(), '.cache', 'convnets', 'x'))
    }
  })

  test('is where the full Fashion-MNIST goes, checked against its published checksums', async () => {
    vi.stubEnv('XDG_CACHE_HOME', folder)
    const attempt = fashionMnist({ subset: 'full', urls: from('good') })
    await expect(attempt).rejects.toThrow(DownloadError)
    await expect(attempt).rejects.toThrow(
      /train-images-idx3-ubyte\.gz could not be downloaded: .*ended after 10 of 26421880/,
    )
    expect(await readdir(join(folder, 'convnets', 'fashion-mnist'))).toEqual([])
    expect(requests).toEqual(['/good/train-images-idx3-ubyte.gz'])
  })
})
