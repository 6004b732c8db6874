/** Pictures from everything that a browser holds, and weights from an address. */
import { evalTransform, Image, type Pixels, toTensor } from '@convnets/data'
import { resnet20 } from '@convnets/models-modern'
import { noGrad, tensor } from '@convnets/tensor'
import { loadWeights } from '@convnets/weights'

/** The same preprocessing everywhere: what ImageNet's networks usually get. */
const weights = {
  resize: 64,
  crop: 56,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
} as const

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))

/** A picture as text: size, channels, and its bytes in base64. */
const described = ({ height, width, channels, data }: Pixels): string =>
  `${height} x ${width} x ${channels} ${btoa(Array.from(data, (v) => String.fromCharCode(v)).join(''))}`

export const pictures = {
  /** The pixels of a file, by every way that a browser has of holding it. */
  async everyWay(png: string): Promise<Record<string, string>> {
    const bytes = bytesOf(png)
    const blob = new Blob([bytes], { type: 'image/png' })
    const bitmap = await createImageBitmap(blob)
    const { width, height } = bitmap
    const offscreen = new OffscreenCanvas(width, height)
    const drawn = offscreen.getContext('2d') as OffscreenCanvasRenderingContext2D
    drawn.drawImage(bitmap, 0, 0)
    const frame = new VideoFrame(offscreen, { timestamp: 0 })
    const url = URL.createObjectURL(blob)
    const found: Record<string, Pixels> = {
      blob: await Image.open(blob, { channels: 3 }),
      bytes: await Image.open(bytes, { channels: 3 }),
      url: await Image.open(url, { channels: 3 }),
      dataUrl: await Image.open(`data:image/png;base64,${png}`, { channels: 3 }),
      bitmap: Image.from(bitmap),
      offscreen: Image.from(offscreen),
      imageData: Image.from(drawn.getImageData(0, 0, width, height)),
      frame: Image.from(frame),
    }
    frame.close()
    if (typeof document === 'object') {
      const canvas = Object.assign(document.createElement('canvas'), { width, height })
      canvas.getContext('2d')?.drawImage(bitmap, 0, 0)
      const element = Object.assign(document.createElement('img'), { src: url })
      await element.decode()
      Object.assign(found, { canvas: Image.from(canvas), img: Image.from(element) })
    }
    return Object.fromEntries(Object.entries(found).map(([way, image]) => [way, described(image)]))
  },

  /** A picture with its own channels. */
  async opened(png: string): Promise<string> {
    return described(await Image.open(bytesOf(png)))
  },

  /** What a network would get of a file. */
  async evaluated(png: string): Promise<number[]> {
    const image = await Image.open(bytesOf(png), { channels: 3 })
    return [...toTensor(evalTransform(weights)(image)).dataSync()]
  },

  /** A picture file that is made here, not in Node. */
  async toPng(): Promise<void> {
    await new Image(new Uint8Array(3), 1, 1, 3).toPng()
  },

  /** Logits of a CIFAR network with the weights of a file, for a picture of waves. */
  async logits({ url, sha256 }: { url: string; sha256?: string }): Promise<number[]> {
    const model = resnet20().eval()
    await loadWeights(model, url, sha256 === undefined ? {} : { sha256 })
    const values = Float32Array.from({ length: 3 * 32 * 32 }, (_, i) => Math.fround(((i * 37) % 101) / 50 - 1))
    return [...noGrad(() => model.forward(tensor(values, { shape: [1, 3, 32, 32] }))).dataSync()]
  },
}
