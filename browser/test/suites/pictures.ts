/** Pictures and weights in the browser are those of Node. */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Image, type Pixels } from '@convnets/data'
import { resnet20 } from '@convnets/models-modern'
import { writeSafetensors } from '@convnets/weights'
import { expect, it } from 'vitest'
import { pictures } from '../../pages/pictures.ts'
import type { Tests } from '../../pages/tests.ts'
import type { Driver } from '../drive.ts'

declare const tests: Tests

/** Waves and noise in every channel; `alpha` from clear to opaque. */
function picture(height: number, width: number, channels: 1 | 3 | 4): Image {
  const data = Uint8Array.from({ length: height * width * channels }, (_, i) => {
    const [pixel, channel] = [Math.floor(i / channels), i % channels]
    const [x, y] = [pixel % width, Math.floor(pixel / width)]
    return channel === 3 ? (x * 255) / (width - 1) : 128 + 90 * Math.sin(x / (5 + channel) + y / 9) + ((i * 53) % 37)
  })
  return new Image(data, height, width, channels)
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const png = async (image: Image): Promise<string> => base64(await image.toPng())

const described = ({ height, width, channels, data }: Pixels): string =>
  `${height} x ${width} x ${channels} ${base64(data as Uint8Array)}`

export function picturesSuite({ open }: Driver): void {
  it('come pixel by pixel from blobs, bytes, addresses, bitmaps, canvases, frames and elements', async () => {
    const page = await open()
    const image = picture(61, 97, 3)
    const file = await png(image)
    const found = await page.evaluate((file) => tests.pictures.everyWay(file), file)
    expect(Object.keys(found)).toHaveLength(10)
    for (const [way, got] of Object.entries(found)) expect(got, way).toBe(described(image))
    const inWorker = await page.evaluate(async (file) => {
      const engine = tests.start(1)
      const found = await engine.run('everyWay', file)
      engine.close()
      return found
    }, file)
    expect(Object.keys(inWorker)).toHaveLength(8)
    for (const [way, got] of Object.entries(inWorker)) expect(got, way).toBe(described(image))
    await page.close()
  })

  it('keep the colours of what is transparent', async () => {
    const page = await open()
    const image = picture(20, 33, 4)
    expect(await page.evaluate((file) => tests.pictures.opened(file), await png(image))).toBe(described(image))
    await page.close()
  })

  it('are prepared for networks as in Node', async () => {
    const page = await open()
    for (const image of [picture(120, 91, 3), picture(70, 130, 1), picture(90, 90, 4)]) {
      const file = await png(image)
      const got = await page.evaluate((file) => tests.pictures.evaluated(file), file)
      expect(got).toEqual(await pictures.evaluated(file))
    }
    await page.close()
  })

  it('are refused if they are broken or bombs, and are not encoded', async () => {
    const page = await open()
    const whole = await picture(9, 9, 3).toPng()
    const bomb = Buffer.from(whole)
    bomb.writeUInt32BE(70_000, 16)
    bomb.writeUInt32BE(70_000, 20)
    const files = [base64(whole.subarray(0, 50)), base64(bomb), base64(Buffer.from('no picture'))]
    const [truncated, large, text, encoded] = await page.evaluate(
      async (files) =>
        await Promise.all([
          ...files.map((file) => tests.failure(tests.pictures.opened(file))),
          tests.failure(tests.pictures.toPng()),
        ]),
      files,
    )
    expect(truncated).toMatch(/^FormatError: bytes: at byte 0: expected a whole picture/)
    expect(large).toMatch(/^FormatError: .*at most 64 megapixels .*got 70000 x 70000 pixels/)
    expect(text).toMatch(/^FormatError: /)
    expect(encoded).toMatch(/^BackendError: Image.toPng: expects the package sharp/)
    await page.close()
  })

  it('weights are read from an address, with checksum', async () => {
    const page = await open()
    const bytes = await writeSafetensors(resnet20({ seed: 3 }).stateDict())
    const server = createServer((_, response) =>
      response
        .writeHead(200, {
          'Access-Control-Allow-Origin': '*',
          'Cross-Origin-Resource-Policy': 'cross-origin',
          'Content-Length': bytes.length,
        })
        .end(bytes),
    )
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    try {
      const other = `http://localhost:${(server.address() as AddressInfo).port}/model.safetensors`
      const pth = '/fixtures/weights/cifar-resnet/resnet20-12fca82f.th'
      const file = new URL(`../../..${pth}`, import.meta.url)
      const sha256 = Buffer.from(await crypto.subtle.digest('SHA-256', await readFile(file))).toString('hex')
      const address = new URL(pth, page.url()).href
      const logits = (input: { url: string; sha256?: string }) =>
        page.evaluate((input) => tests.pictures.logits(input), input)
      expect(await logits({ url: address, sha256 })).toEqual(await pictures.logits({ url: file.href }))
      const [got, again] = [await logits({ url: other }), await logits({ url: other })]
      expect(got).toEqual(again)
      const path = `data:application/octet-stream;base64,${base64(bytes)}`
      expect(got).toEqual(await pictures.logits({ url: path }))
      const wrong = { url: address, sha256: '0'.repeat(64) }
      const failures = await page.evaluate(
        async ({ wrong, missing }) => [
          await tests.failure(tests.pictures.logits(wrong)),
          await tests.failure(tests.pictures.logits({ url: missing })),
          await tests.failure(tests.pictures.logits({ url: 'model.safetensors' })),
        ],
        { wrong, missing: new URL('/none.safetensors', page.url()).href },
      )
      expect(failures[0]).toMatch(/^DownloadError: .*resnet20/)
      expect(failures[1]).toMatch(/^DownloadError: .*404/)
      expect(failures[2]).toMatch(/^BackendError: loadWeights: expects a file system/)
    } finally {
      server.closeAllConnections()
      server.close()
    }
    await page.close()
  })
}
