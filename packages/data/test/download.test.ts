import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ArgumentError } from '@convnets/tensor'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { cifar10, DownloadError, type DownloadProgress, download, fashionMnist, mnist } from '../src/index.ts'
import { downloadFiles, type RemoteFile } from '../src/remote-files.ts'

const contents = (seed: number, length: number): Buffer =>
  Buffer.from(Uint8Array.from({ length }, (_, i) => (i * seed) & 255))

const bodies = new Map([
  ['a.bin', contents(7, 200_000)],
  ['b.bin', contents(13, 1_000)],
])
const body = bodies.get('a.bin')!
const hash = (algorithm: string, bytes: Uint8Array): string => createHash(algorithm).update(bytes).digest('hex')
const sha256 = hash('sha256', body)
const md5 = hash('md5', body)

const files: readonly RemoteFile[] = [...bodies].map(([name, bytes]) => ({
  name,
  bytes: bytes.length,
  sha256: hash('sha256', bytes),
}))

/** Breaks the connection after `bytes` of what was announced. */
function cut(response: ServerResponse, whole: Buffer, from: number, bytes: number, headers = {}): void {
  const part = whole.subarray(from)
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': part.length,
    ...(from > 0 && { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` }),
    ...headers,
  })
  response.write(part.subarray(0, bytes), () => setTimeout(() => response.destroy(), 20))
}

/** The first byte that is asked for, if that is what `If-Range` asks to be the same file. */
function rangeOf(request: IncomingMessage, etag: string | undefined): number {
  const condition = request.headers['if-range']
  if (condition !== undefined && condition !== etag) return 0
  return Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
}

let asked = 0
/** Ways in which a server answers, by the first part of the address. */
const manners: Readonly<Record<string, (response: ServerResponse, body: Buffer, request: IncomingMessage) => void>> = {
  good: (response, whole) => response.end(whole),
  ranges: (response, whole, request) => {
    const from = rangeOf(request, '"1"')
    if (from === 0) response.writeHead(200, { 'content-length': whole.length, etag: '"1"' })
    else response.writeHead(206, { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}`, etag: '"1"' })
    response.end(whole.subarray(from))
  },
  moved: (response) => response.writeHead(302, { location: '/good/a.bin' }).end(),
  broken: (response) => response.writeHead(503).end('try later'),
  missing: (response) => response.writeHead(404).end(),
  short: (response, whole) => response.end(whole.subarray(0, -1)),
  // Chunked: nothing is announced.
  unannounced: (response, whole) => {
    response.write(whole.subarray(0, 100))
    response.end(whole.subarray(100, -1))
  },
  long: (response, whole) => {
    response.write(whole)
    response.end('!')
  },
  endless: (response) => {
    const more = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      if (!response.destroyed) response.once('drain', more)
    }
    more()
  },
  wrong: (response, whole) => response.end(Buffer.concat([whole.subarray(0, -1), Buffer.from('!')])),
  cut: (response, whole) => cut(response, whole, 0, 100),
  stalled: (response, whole) => void response.write(whole.subarray(0, 100)),
  slow: (response, whole) => {
    response.writeHead(200, { 'content-length': whole.length })
    let at = 0
    const timer = setInterval(() => {
      response.write(whole.subarray(at, at + 20_000))
      at += 20_000
      if (at < whole.length && !response.destroyed) return
      response.end()
      clearInterval(timer)
    }, 20)
  },
  // Breaks off again and again, and goes on where it is asked to.
  flaky: (response, whole, request) => cut(response, whole, rangeOf(request, '"1"'), 70_000, { etag: '"1"' }),
  untagged: (response, whole, request) => cut(response, whole, rangeOf(request, undefined), 70_000),
  weak: (response, whole, request) => cut(response, whole, rangeOf(request, undefined), 70_000, { etag: 'W/"1"' }),
  // Another file every time.
  changing: (response, whole, request) => {
    const etag = `"${asked++}"`
    cut(response, whole, rangeOf(request, etag), asked > 2 ? 200_000 : 70_000, { etag })
  },
  // Breaks off once, and then knows nothing of ranges.
  deaf: (response, whole) => (asked++ === 0 ? cut(response, whole, 0, 70_000, { etag: '"1"' }) : response.end(whole)),
  // Breaks off once, and then sends something else from there on.
  liar: (response, whole, request) => {
    if (asked++ === 0) return cut(response, whole, 0, 70_000)
    const from = rangeOf(request, undefined)
    if (from === 0) return response.end(whole)
    response.writeHead(206, { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` })
    return response.end(Buffer.alloc(whole.length - from, 1))
  },
  elsewhere: (response, whole, request) => {
    if (asked++ === 0) return cut(response, whole, 0, 70_000)
    if (!request.headers.range) return response.end(whole)
    response.writeHead(206, { 'content-range': `bytes 5-${whole.length - 1}/${whole.length}` })
    return response.end(whole.subarray(5))
  },
  shrunk: (response, whole, request) => {
    if (asked++ === 0) return cut(response, whole, 0, 70_000)
    return request.headers.range ? response.writeHead(416).end() : response.end(whole)
  },
  once: (response, whole) => (asked++ === 0 ? response.writeHead(500).end() : response.end(whole)),
  file: (response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
  data: (response) => response.writeHead(302, { location: 'data:,hello' }).end(),
  nowhere: (response) => response.writeHead(302).end(),
  circle: (response) => response.writeHead(302, { location: '/circle/a.bin' }).end(),
}

let server: Server
let base: string
let folder: string
const requests: string[] = []
const ranges: (string | undefined)[] = []

beforeAll(async () => {
  server = createServer((request, response) => {
    const [, manner = '', name = ''] = request.url?.split('/') ?? []
    requests.push(request.url ?? '')
    ranges.push(request.headers.range)
    response.on('error', () => {})
    // Connections that have been broken off are nobody's to use again.
    response.setHeader('connection', 'close')
    manners[manner]?.(response, bodies.get(name) ?? Buffer.from('not a file'), request)
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
  ranges.length = 0
  asked = 0
  folder = await mkdtemp(join(tmpdir(), 'convnets-download-'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

/** Quicker than comparing arrays. */
const expectFile = async (path: string, bytes: Buffer): Promise<void> =>
  expect((await readFile(path)).equals(bytes)).toBe(true)

const at = (manner: string): string => `${base}/${manner}/a.bin`
const from = (...names: string[]): string[] => names.map((name) => `${base}/${name}`)
const quick = { retries: 0, retryDelay: 1 }
const target = (): string => join(folder, 'a.bin')
const failure = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

describe('download', () => {
  test.each(['good', 'ranges', 'moved', 'slow'])(
    'puts a whole file in place, from a server that is %s',
    async (manner) => {
      const to = join(folder, 'x', 'y', 'a.bin')
      const seen: { receivedBytes: number; totalBytes: number | undefined }[] = []
      await download(at(manner), pathToFileURL(to), {
        sha256,
        md5,
        bytes: body.length,
        onProgress: (step) => seen.push(step),
      })
      await expectFile(to, body)
      expect(await readdir(join(folder, 'x', 'y'))).toEqual(['a.bin'])
      expect(seen.at(-1)).toEqual({ receivedBytes: 200_000, totalBytes: 200_000 })
      const received = seen.map(({ receivedBytes }) => receivedBytes)
      expect(received).toEqual(received.toSorted((a, b) => a - b))
    },
  )

  test('happens once: what is there stays as it is', async () => {
    await writeFile(target(), 'mine')
    await download(at('good'), target())
    expect(requests).toEqual([])
    expect(await readFile(target(), 'utf8')).toBe('mine')
  })

  test.each([
    ['broken', /answered with status 503/],
    ['missing', /answered with status 404/],
    ['short', /has a file of 199999 bytes, expected 200000/],
    ['unannounced', /ended after 199999 of 200000 bytes/],
    ['long', /sent more than the expected 200000 bytes/],
    ['endless', /sent more than the expected 200000 bytes/],
    ['wrong', /sent contents with SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}/],
    ['cut', /terminated|other side closed/],
    ['stalled', /sent nothing for 200 ms/],
    ['file', /answered with a redirect to file:, which is refused/],
    ['data', /answered with a redirect to data:, which is refused/],
    ['nowhere', /answered with a redirect to nowhere/],
    ['circle', /answered with a redirect for the 11th time/],
  ])('a server that is %s leaves no file', async (manner, message) => {
    const attempt = download(at(manner), target(), { sha256, bytes: body.length, stallTimeout: 200, ...quick })
    const error = await failure(attempt)
    expect(error).toBeInstanceOf(DownloadError)
    expect(error).toMatchObject({ urls: [at(manner)], message: expect.stringMatching(message) })
    expect((error as Error).message).toContain('a.bin could not be downloaded: ')
    expect((await readdir(folder)).filter((name) => !/^\.a\.bin\.[0-9a-f]{16}\.part-/.test(name))).toEqual([])
  })

  test('a checksum may be MD5', async () => {
    await expect(download(at('wrong'), target(), { md5, ...quick })).rejects.toThrow(
      /sent contents with MD5 [0-9a-f]{32}, expected/,
    )
    await download(at('good'), target(), { md5: md5.toUpperCase() })
    await expectFile(target(), body)
  })

  test('nobody there', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => closed.once('listening', resolve))
    const { port } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    const attempt = download(`http://127.0.0.1:${port}/a.bin`, target(), quick)
    await expect(attempt).rejects.toThrow(DownloadError)
    await expect(attempt).rejects.toThrow(/ECONNREFUSED/)
  })

  test('tries the next address, and all of them again, but none that will not change', async () => {
    await download([at('missing'), at('once'), at('broken')], target(), { retryDelay: 1 })
    expect(requests).toEqual(['/missing/a.bin', '/once/a.bin', '/broken/a.bin', '/once/a.bin'])
    await expectFile(target(), body)
  })

  test('stops when told, with the reason given, and leaves no file under the name', async () => {
    const reason = new Error('enough')
    await expect(download(at('good'), target(), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(requests).toEqual([])
    const controller = new AbortController()
    const attempt = download([at('stalled'), at('good')], target(), {
      signal: controller.signal,
      onProgress: () => controller.abort(reason),
    })
    await expect(attempt).rejects.toBe(reason)
    expect(requests).toEqual(['/stalled/a.bin'])
    expect(await readdir(folder)).toEqual([])
    const waiting = new AbortController()
    setTimeout(() => waiting.abort(reason), 50)
    await expect(download(at('broken'), target(), { signal: waiting.signal })).rejects.toBe(reason)
  })

  test('two at once do not disturb each other', async () => {
    await Promise.all([1, 2, 3].map(() => download(at('slow'), target(), { sha256 })))
    await expectFile(target(), body)
    expect(await readdir(folder)).toEqual(['a.bin'])
  })

  test('a folder that cannot be made is the error of the file system, and no other address is tried', async () => {
    await writeFile(join(folder, 'file'), '')
    await expect(download(at('good'), join(folder, 'file', 'x', 'a.bin'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    expect(requests).toEqual([])
  })

  test.each([
    ['file:///etc/passwd', {}, /urls expects addresses that begin with http: or https:, got 'file:/],
    ['a.bin', {}, /urls expects addresses/],
    ['data:,hello', {}, /urls expects addresses/],
    [[], {}, /urls expects at least one address, got none/],
    ['http://x', { sha256: 'abc' }, /sha256 expects 64 hexadecimal digits, got "abc"/],
    ['http://x', { md5: 'x'.repeat(32) }, /md5 expects 32 hexadecimal digits/],
    ['http://x', { bytes: -1 }, /bytes expects a non-negative integer, got -1/],
  ])('refuses %j with %j', async (urls, options, message) => {
    const error = await failure(download(urls, target(), options))
    expect(error).toBeInstanceOf(ArgumentError)
    expect((error as Error).message).toMatch(message)
  })
})

describe('a download that breaks off', () => {
  test.each(['flaky', 'untagged'])('goes on where it was, in this call: %s', async (manner) => {
    await download(at(manner), target(), { sha256, retryDelay: 1 })
    await expectFile(target(), body)
    expect(ranges).toHaveLength(3)
    expect(ranges[0]).toBeUndefined()
    for (const range of ranges.slice(1)) expect(range).toMatch(/^bytes=[1-9]\d+-$/)
    expect(await readdir(folder)).toEqual(['a.bin'])
  })

  test('goes on where it was, in the next call, from another address', async () => {
    await expect(download(at('untagged'), target(), { sha256, ...quick })).rejects.toThrow(DownloadError)
    expect(await readdir(folder)).toHaveLength(1)
    await download(at('ranges'), target(), { sha256 })
    expect(ranges[1]).toMatch(/^bytes=[1-9]\d+-$/)
    await expectFile(target(), body)
    expect(await readdir(folder)).toEqual(['a.bin'])
  })

  test('goes on without a checksum only if the server says that it is the same file', async () => {
    await download(at('flaky'), target(), { retryDelay: 1 })
    expect(ranges.slice(1).every((range) => range?.startsWith('bytes='))).toBe(true)
    await expectFile(target(), body)
    ranges.length = 0
    for (const manner of ['untagged', 'weak']) {
      await expect(download(at(manner), join(folder, manner), { retryDelay: 1 })).rejects.toThrow(DownloadError)
    }
    expect(ranges).toEqual(Array.from({ length: 6 }))
  })

  test('begins anew where the file is another one by now', async () => {
    await download(at('changing'), target(), { retryDelay: 1 })
    expect(requests).toHaveLength(3)
    await expectFile(target(), body)
  })

  test.each(['deaf', 'liar', 'elsewhere', 'shrunk'])(
    'begins anew with a server that is %s',
    async (manner) => {
      await download(at(manner), target(), { sha256, retries: 3, retryDelay: 1 })
      await expectFile(target(), body)
      expect(ranges[1]).toMatch(/^bytes=/)
      expect(await readdir(folder)).toEqual(['a.bin'])
    },
    20_000,
  )
})

describe('the files of a data set', () => {
  test('are downloaded into a folder, with how far that is', async () => {
    const to = join(folder, 'x', 'y')
    const progress: DownloadProgress[] = []
    await downloadFiles(files, { from: from('good'), to, onProgress: (step) => progress.push(step) })
    for (const [name, bytes] of bodies) await expectFile(join(to, name), bytes)
    expect((await readdir(to)).sort()).toEqual(['a.bin', 'b.bin'])
    expect(progress.at(-1)).toEqual({ file: 'b.bin', receivedBytes: 201_000, totalBytes: 201_000 })
    const received = progress.map(({ receivedBytes }) => receivedBytes)
    expect(received).toEqual(received.toSorted((a, b) => a - b))
    expect(new Set(progress.map(({ totalBytes }) => totalBytes))).toEqual(new Set([201_000]))
  })

  test('are downloaded once', async () => {
    await writeFile(target(), 'mine')
    await downloadFiles(files, { from: from('good/'), to: folder })
    await downloadFiles(files, { from: from('good/'), to: folder })
    expect(requests).toEqual(['/good/b.bin'])
    expect(await readFile(target(), 'utf8')).toBe('mine')
  })

  test('come from the next address if one fails', async () => {
    await downloadFiles(files, { from: from('broken', 'wrong', 'ranges'), to: folder, ...quick })
    expect(requests).toEqual(
      ['broken', 'wrong', 'ranges']
        .map((name) => `/${name}/a.bin`)
        .concat(['broken', 'wrong', 'ranges'].map((name) => `/${name}/b.bin`)),
    )
    await expectFile(target(), body)
  })
})

describe('the cache', () => {
  test.each([
    [
      'fashion-mnist',
      'train-images-idx3-ubyte.gz',
      26_421_880,
      () => fashionMnist({ subset: 'full', urls: from('good') }),
    ],
    ['mnist', 'train-images-idx3-ubyte.gz', 9_912_422, () => mnist({ urls: from('good') })],
    ['cifar10', 'cifar-10-binary.tar.gz', 170_052_171, () => cifar10({ urls: from('good') })],
  ])('is where the whole of %s goes, checked against what its publisher says', async (name, file, bytes, load) => {
    vi.stubEnv('XDG_CACHE_HOME', folder)
    const error = await failure(load())
    expect(error).toBeInstanceOf(DownloadError)
    expect((error as Error).message).toMatch(
      `${file} could not be downloaded: ${base}/good/${file}: has a file of 10 bytes, expected ${bytes}`,
    )
    expect(await readdir(join(folder, 'convnets', name))).toEqual([])
    expect(requests).toEqual([`/good/${file}`])
  })
})
