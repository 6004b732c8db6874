import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DownloadError } from '../src/index.ts'
import { fetchBytes } from '../src/remote/memory.ts'
import { file, type HubServer, sha256, startHub } from './hub-server.ts'

const contents: Uint8Array = Uint8Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8)) & 255)
const options = { retryDelay: 1, retries: 2, stallTimeout: 60_000 }

let hub: HubServer
beforeEach(async () => {
  hub = await startHub()
})
afterEach(() => hub.close())

const fetched = (checksum = {}): Promise<Uint8Array> => fetchBytes(`${hub.base}/m`, checksum, options)

describe('a file into memory, where there are no files', () => {
  test('comes in memory that is as long as the server says', async () => {
    hub.serve('/m', file(contents))
    const bytes = await fetched({ sha256: sha256(contents) })
    expect(bytes).toEqual(contents)
    expect(bytes.buffer.byteLength).toBe(contents.length)
  })

  test('of a server that does not say how long it is', async () => {
    hub.serve('/m', (_, response) => {
      response.writeHead(200)
      for (let at = 0; at < contents.length; at += 30_000) response.write(contents.subarray(at, at + 30_000))
      response.end()
    })
    expect(await fetched()).toEqual(contents)
  })

  test('goes on where it broke off, if it is the same file by then', async () => {
    hub.serve('/m', (request, response, before) =>
      file(contents, before === 0 ? { limit: 70_000 } : {})(request, response, before),
    )
    expect(await fetched()).toEqual(contents)
    expect(hub.requests.map(({ range }) => range)).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d*-$/)])
  })

  test('begins anew if it is another one by then', async () => {
    const later = contents.map((byte) => 255 - byte)
    hub.serve('/m', (request, response, before) =>
      (before === 0 ? file(contents, { limit: 70_000 }) : file(later.subarray(0, 50_000)))(request, response, before),
    )
    expect(await fetched()).toEqual(later.subarray(0, 50_000))
  })

  test('is refused with another checksum, where redirects lead to files, and after too many answers of 5xx', async () => {
    hub.serve('/m', file(contents))
    await expect(fetched({ sha256: '0'.repeat(64) })).rejects.toThrow(`got ${sha256(contents)}`)
    hub.serve('/m', (_, response) => void response.writeHead(302, { location: 'file:///etc/passwd' }).end())
    await expect(fetched()).rejects.toThrow('the answer is a redirect to file:, which is refused')
    hub.serve('/m', (_, response) => void response.writeHead(503).end())
    await expect(fetched()).rejects.toThrow(DownloadError)
  })
})
