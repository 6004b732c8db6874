import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { modern } from '@convnets/models-modern'
import { ArgumentError, ConvnetsError, tensor } from '@convnets/tensor'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DownloadError, type DownloadProgress, loadWeights, openWeights, writeSafetensors } from '../src/index.ts'
import { hubUrls, torchvisionWeights } from '../src/remote/names.ts'
import { file, type HubServer, sha256, startHub } from './hub-server.ts'

let hub: HubServer
let folder: string
let bytes: Uint8Array

/** A file of 40,000 bytes and a bit. */
async function makeFile(first = 0): Promise<Uint8Array> {
  const values = tensor(Float32Array.from({ length: 10_000 }, (_, i) => i + first))
  const made = await writeSafetensors(new Map([['w', values]]))
  values.dispose()
  return made
}

beforeEach(async () => {
  hub = await startHub()
  folder = await mkdtemp(join(tmpdir(), 'convnets-cache-'))
  bytes = await makeFile()
})

afterEach(async () => {
  await hub.close()
  await rm(folder, { recursive: true, force: true })
})

const options = () => ({ cacheFolder: folder, hub: hub.base, retryDelay: 1, retries: 2, stallTimeout: 5000 })

/** Opens a source and gives its first number; the file is read from the cache in the end. */
async function first(source: Parameters<typeof openWeights>[0], more: object = {}): Promise<number> {
  const opened = await openWeights(source, { ...options(), ...more })
  const read = await opened.entries.get('w')!.read()
  await opened.close()
  return new DataView(read.buffer, read.byteOffset).getFloat32(0, true)
}

/** Names of all files in the cache, without the folders they are in. */
async function cacheFiles(): Promise<string[]> {
  const folders = await readdir(folder)
  return (await Promise.all(folders.map((name) => readdir(join(folder, name))))).flat().sort()
}

describe('a file of an address', () => {
  test('is downloaded once, and confirmed after that', async () => {
    hub.serve('/m.safetensors', file(bytes))
    const url = `${hub.base}/m.safetensors`
    const steps: DownloadProgress[] = []
    expect(await first(url, { onProgress: (step: DownloadProgress) => steps.push(step) })).toBe(0)
    expect(steps.at(-1)).toEqual({ url, receivedBytes: bytes.length, totalBytes: bytes.length })
    expect(await first(new URL(url))).toBe(0)
    expect(hub.requests.map(({ ifNoneMatch }) => ifNoneMatch !== undefined)).toEqual([false, true])
    expect(await cacheFiles()).toEqual(['m.safetensors', 'm.safetensors.json'])
  })

  test('is downloaded again when it has changed', async () => {
    hub.serve('/m.safetensors', file(bytes))
    await first(`${hub.base}/m.safetensors`)
    hub.serve('/m.safetensors', file(await makeFile(7)))
    expect(await first(`${hub.base}/m.safetensors`)).toBe(7)
  })

  test('with a checksum is asked for once, and is available offline', async () => {
    hub.serve('/m.safetensors', file(bytes))
    const weights = { url: `${hub.base}/m.safetensors`, sha256: sha256(bytes) }
    expect(await first(weights)).toBe(0)
    expect(await first(weights)).toBe(0)
    expect(await first({ url: weights.url, sha256Prefix: weights.sha256.slice(0, 8) })).toBe(0)
    expect(hub.requests.length).toBe(1)
    expect(await first(weights, { offline: true })).toBe(0)
    expect(await first(weights.url, { offline: true })).toBe(0)
    expect(hub.requests.length).toBe(1)
  })

  test('offline, what is not there is an error at once', async () => {
    const error = await first(`${hub.base}/m.safetensors`, { offline: true }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(DownloadError)
    expect((error as Error).message).toMatch(/not in the cache, and this is offline mode/)
    expect(hub.requests).toEqual([])
  })

  test('that has been damaged in the cache is downloaded again', async () => {
    hub.serve('/m.safetensors', file(bytes))
    const weights = { url: `${hub.base}/m.safetensors`, sha256: sha256(bytes) }
    await first(weights)
    const [name] = await readdir(folder)
    await writeFile(join(folder, name!, 'm.safetensors'), bytes.subarray(0, 100))
    expect(await first(weights)).toBe(0)
    expect(hub.requests.length).toBe(2)
  })

  test('fetched twice at once is whole', async () => {
    hub.serve('/m.safetensors', file(bytes))
    const all = await Promise.all(Array.from({ length: 5 }, () => first(`${hub.base}/m.safetensors`)))
    expect(all).toEqual([0, 0, 0, 0, 0])
    expect(await cacheFiles()).toEqual(['m.safetensors', 'm.safetensors.json'])
  })
})

describe('a server that behaves badly', () => {
  const url = (): string => `${hub.base}/m.safetensors`

  test('breaks off: the rest is asked for', async () => {
    const [good, bad] = [file(bytes), file(bytes, { limit: 15_000 })]
    hub.serve('/m.safetensors', (request, response, before) => (before < 2 ? bad : good)(request, response, before))
    expect(await first({ url: url(), sha256: sha256(bytes) })).toBe(0)
    const ranges = hub.requests.map(({ range }) => range)
    expect(ranges[0]).toBeUndefined()
    expect(ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? ''))).toBe(true)
    expect(await cacheFiles()).toEqual(['m.safetensors', 'm.safetensors.json'])
  })

  test('breaks off for good: the next download goes on from there', async () => {
    hub.serve('/m.safetensors', (request, response, before) =>
      before === 0 ? file(bytes, { limit: 15_000 })(request, response, before) : void response.destroy(),
    )
    await expect(first(url())).rejects.toThrow(DownloadError)
    const left = await cacheFiles()
    expect(left).toEqual([expect.stringMatching(/^m\.safetensors\.part-/)])
    hub.requests.length = 0
    hub.serve('/m.safetensors', file(bytes))
    expect(await first({ url: url(), sha256: sha256(bytes) })).toBe(0)
    expect(hub.requests.map(({ range }) => range)).toEqual(['bytes=15000-'])
    expect(await cacheFiles()).toEqual(['m.safetensors', 'm.safetensors.json'])
  })

  test('breaks off and has another file afterwards: nothing is glued together', async () => {
    const other = await makeFile(3)
    hub.serve('/m.safetensors', (request, response, before) =>
      before === 0 ? file(bytes, { limit: 15_000 })(request, response, before) : file(other)(request, response, before),
    )
    expect(await first({ url: url(), sha256: sha256(other) })).toBe(3)
  })

  test('answers with 5xx for a while', async () => {
    hub.serve('/m.safetensors', (request, response, before) =>
      before < 2 ? void response.writeHead(503, { 'retry-after': '0' }).end() : file(bytes)(request, response, before),
    )
    expect(await first(url())).toBe(0)
    expect(hub.requests.length).toBe(3)
  })

  test.each([500, 502, 503])('answers with %i always', async (status) => {
    hub.serve('/m.safetensors', (_, response) => void response.writeHead(status).end('<html>'))
    const error = await first(url()).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ name: 'DownloadError', status, url: url() })
    expect(hub.requests.length).toBe(3)
  })

  test.each([401, 403, 404, 410])('answers with %i: asking again would not help', async (status) => {
    hub.serve('/m.safetensors', (_, response) => void response.writeHead(status).end())
    await expect(first(url())).rejects.toMatchObject({ status })
    await expect(first(url())).rejects.toThrow(
      `${url()} could not be downloaded: expected an answer with status 200, got ${status}`,
    )
    expect(hub.requests.length).toBe(2)
  })

  test('sends other contents than were promised', async () => {
    hub.serve('/m.safetensors', file(bytes))
    const wrong = '0'.repeat(64)
    await expect(first({ url: url(), sha256: wrong })).rejects.toThrow(
      `expected contents with SHA-256 ${wrong}, got ${sha256(bytes)}`,
    )
    await expect(first({ url: url(), sha256Prefix: '00000000' })).rejects.toThrow('SHA-256 that begins with 00000000')
    expect(await cacheFiles()).toEqual([])
    expect(hub.requests.length).toBe(2)
  })

  test('sends other contents than the hub says', async () => {
    hub.serve(
      '/m.safetensors',
      (_, response) => void response.writeHead(302, { location: '/cdn', 'x-linked-etag': `"${'1'.repeat(64)}"` }).end(),
    )
    hub.serve('/cdn', file(bytes))
    await expect(first(url())).rejects.toThrow(`expected contents with SHA-256 ${'1'.repeat(64)}`)
  })

  test('sends fewer bytes than it says, and ends well', async () => {
    hub.serve('/m.safetensors', (_, response) => {
      response.writeHead(200, { 'content-length': String(bytes.length) })
      response.write(bytes.subarray(0, 100), () => response.destroy())
    })
    await expect(first(url())).rejects.toThrow(DownloadError)
    expect(await cacheFiles()).toEqual([])
  })

  test('says nothing for too long', async () => {
    hub.serve('/m.safetensors', (_, response) => void response.writeHead(200, { 'content-length': '1000' }).write('x'))
    await expect(first(url(), { stallTimeout: 50, retries: 1 })).rejects.toThrow('no byte came for 50 ms')
    expect(hub.requests.length).toBe(2)
  })

  test('is slow, but goes on', async () => {
    hub.serve('/m.safetensors', (_, response) => {
      response.writeHead(200, { 'content-length': String(bytes.length) })
      let at = 0
      const timer = setInterval(() => {
        response.write(bytes.subarray(at, at + 4000))
        at += 4000
        if (at < bytes.length) return
        clearInterval(timer)
        response.end()
      }, 20)
    })
    expect(await first(url(), { stallTimeout: 150 })).toBe(0)
  })

  test.each([
    ['file:///etc/passwd', /redirect to file:, which is refused/],
    ['data:text/plain,x', /redirect to data:, which is refused/],
    ['ftp://127.0.0.1/x', /redirect to ftp:, which is refused/],
    ['http://[', /redirect to "http:/],
  ])('redirects to %s', async (location, message) => {
    hub.serve('/m.safetensors', (_, response) => void response.writeHead(302, { location }).end())
    const error = await first(url()).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(DownloadError)
    expect((error as Error).message).toMatch(message)
    expect(hub.requests.length).toBe(1)
  })

  test('redirects in a circle', async () => {
    hub.serve('/m.safetensors', (_, response) => void response.writeHead(302, { location: '/m.safetensors' }).end())
    await expect(first(url())).rejects.toThrow('redirect for the 11th time')
  })

  test('redirects to where the file is', async () => {
    hub.serve('/m.safetensors', (_, response) => void response.writeHead(307, { location: 'cdn/file' }).end())
    hub.serve('/cdn/file', file(bytes))
    expect(await first(url())).toBe(0)
  })

  test('answers a range with another one', async () => {
    hub.serve('/m.safetensors', (request, response, before) => {
      if (before === 0) return file(bytes, { limit: 15_000 })(request, response, before)
      response.writeHead(206, { 'content-range': `bytes 0-99/${bytes.length}`, 'content-length': '100' })
      response.end(bytes.subarray(0, 100))
    })
    await expect(first(url())).rejects.toThrow('another part than was asked')
  })

  test('is waited for no longer once that is not wanted', async () => {
    const stop = new AbortController()
    hub.serve('/m.safetensors', (_, response) => {
      response.writeHead(200, { 'content-length': '1000' }).write('x')
      stop.abort(new Error('enough'))
    })
    await expect(first(url(), { signal: stop.signal })).rejects.toThrow('enough')
    const waiting = AbortSignal.timeout(30)
    hub.serve('/m.safetensors', (_, response) => void response.writeHead(503, { 'retry-after': '20' }).end())
    await expect(first(url(), { signal: waiting })).rejects.toMatchObject({ name: 'TimeoutError' })
  })
})

describe('names on a hub', () => {
  test('the best file of a repository is found, and is available offline', async () => {
    hub.serve('/timm/net.a1/resolve/main/model.safetensors', file(bytes))
    expect(await first('hf:timm/net.a1')).toBe(0)
    expect(await first('hf:timm/net.a1', { offline: true })).toBe(0)
    await expect(first('hf:timm/other', { offline: true })).rejects.toThrow(DownloadError)
  })

  test('a repository without safetensors, of a revision, or a file in it', async () => {
    hub.serve('/o/n/resolve/v1.0/pytorch_model.bin', file(bytes))
    expect(await first('hf:o/n@v1.0')).toBe(0)
    expect(await first('hf:o/n@v1.0:pytorch_model.bin')).toBe(0)
    await expect(first('hf:o/n')).rejects.toMatchObject({ status: 404 })
  })

  test('a file in parts', async () => {
    const other = new Map([['v', tensor([5])]])
    const part = await writeSafetensors(other)
    other.get('v')!.dispose()
    const index = { metadata: {}, weight_map: { w: 'a-00001-of-00002.safetensors', v: 'a-00002-of-00002.safetensors' } }
    const base = '/o/n/resolve/main'
    hub.serve(`${base}/model.safetensors.index.json`, file(Buffer.from(JSON.stringify(index))))
    hub.serve(`${base}/a-00001-of-00002.safetensors`, file(bytes))
    hub.serve(`${base}/a-00002-of-00002.safetensors`, file(part))
    expect(await first('hf:o/n')).toBe(0)
    const opened = await openWeights('hf:o/n', options())
    expect([...opened.entries.keys()]).toEqual(['w', 'v'])
    await opened.close()
  })

  test.each([
    'hf:',
    'hf:alone',
    'hf:../../etc/passwd',
    'hf:a/b/c',
    'hf:a/b@../x',
    'hf:a/b:../../x',
    'hf:a/b:/etc/passwd',
    'hf:a/b?x=1',
    'hf:a/b c',
  ])('%s is no name', async (name) => {
    await expect(first(name)).rejects.toThrow(ArgumentError)
    expect(hub.requests).toEqual([])
  })

  test('addresses on the public hub', () => {
    expect(hubUrls('hf:timm/resnet50.a1_in1k')[0]).toBe(
      'https://huggingface.co/timm/resnet50.a1_in1k/resolve/main/model.safetensors',
    )
    expect(hubUrls('hf:a/b@refs/pr/1:x/y.pth')).toEqual(['https://huggingface.co/a/b/resolve/refs%2Fpr%2F1/x/y.pth'])
  })
})

describe('names of torchvision', () => {
  test('are rows of the models’ tables', () => {
    const row = torchvisionWeights('torchvision:ResNet50_Weights.IMAGENET1K_V2', [modern])
    expect(row.url).toMatch(/\/resnet50-11ad3fa6\.pth$/)
    const wide = { name: 'resnext50_32x4d', weights: { IMAGENET1K_V1: { url: 'https://x/y' } } }
    expect(torchvisionWeights('torchvision:ResNeXt50_32X4D_Weights.IMAGENET1K_V1', [[], [wide]])).toBe(
      wide.weights.IMAGENET1K_V1,
    )
    // timm has better ones of the same network, which torchvision does not mean.
    expect(torchvisionWeights('torchvision:ResNet50_Weights.DEFAULT', [modern])).toBe(row)
  })

  test('are loaded like any file with a checksum', async () => {
    hub.serve('/tiny.safetensors', file(bytes))
    const weights = { V1: { url: `${hub.base}/tiny.safetensors`, sha256Prefix: sha256(bytes).slice(0, 8) } }
    expect(await first('torchvision:Tiny_Weights.V1', { from: [[{ name: 'tiny', weights }]] })).toBe(0)
  })

  test.each([
    ['torchvision:ResNet50_Weights.IMAGENET1K_V9', /one of the weights of resnet50 \(.*IMAGENET1K_V2, /],
    ['torchvision:ResNet50_Weights.constructor', /one of the weights of resnet50/],
    ['torchvision:NoNet_Weights.DEFAULT', /a model of the lists in from; none of \d+ is called nonet/],
    ['torchvision:ResNet50', /the form torchvision:/],
  ])('%s', async (name, message) => {
    await expect(first(name, { from: [modern] })).rejects.toThrow(message)
  })

  test('without models to look in', async () => {
    await expect(first('torchvision:ResNet50_Weights.DEFAULT')).rejects.toThrow(/the models to look in/)
  })
})

test('what is no source', async () => {
  for (const source of [undefined, null, 5, {}, { url: 'x' }, { url: 5 }]) {
    await expect(openWeights(source as unknown as string)).rejects.toThrow(ConvnetsError)
  }
  const model = { stateDict: () => new Map() }
  const wrong = { sha256: '0'.repeat(64) }
  await expect(loadWeights(model, bytes, wrong)).rejects.toThrow(/expected contents with SHA-256/)
})
