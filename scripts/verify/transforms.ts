/** `transforms.json`: pictures under Pillow's and torchvision's arithmetic, byte by byte. */
import {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  adjustSharpness,
  affine,
  autocontrast,
  centerCrop,
  crop,
  type DeterministicTransform,
  equalize,
  gaussianBlur,
  grayscale,
  horizontalFlip,
  Image,
  type Interpolation,
  invert,
  normalize,
  type Pixels,
  pad,
  posterize,
  resize,
  resizedCrop,
  rotate,
  solarize,
  verticalFlip,
} from '@convnets/data'
import { fill, Json } from '@convnets/testkit'
import { type Case, fail, judge, type Outcome } from './case.ts'

/** The picture of `generate.py` under this name: smooth in colour, with some noise. */
function picture(input: Json): Image {
  const [height, width] = [input.get('height').integer(), input.get('width').integer()]
  const noise = fill(input.get('name').string(), [height, width, 3])
  const data = Uint8Array.from(noise, (u, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    const base = [(x * 255) / (width - 1), (y * 255) / (height - 1), ((x + y) * 255) / (height + width - 2)][
      c
    ] as number
    return Math.min(255, Math.max(0, Math.floor(base * 0.75 + 32 + 24 * u)))
  })
  return new Image(data, height, width, 3)
}

const filter = (attrs: Json): Interpolation => attrs.get('interpolation').string() as Interpolation

const pointFilter = (attrs: Json): 'nearest' | 'bilinear' | 'bicubic' =>
  attrs.get('interpolation').oneOf('nearest', 'bilinear', 'bicubic')

/** A size: one number, or height and width. */
const sizeOf = (json: Json): number | [number, number] => (Array.isArray(json.value) ? json.pair() : json.integer())

const box = (attrs: Json): { top: number; left: number; height: number; width: number } => ({
  top: attrs.get('top').integer(),
  left: attrs.get('left').integer(),
  height: attrs.get('height').integer(),
  width: attrs.get('width').integer(),
})

const factor = (attrs: Json): number => attrs.get('factor').number()

const numberPair = (json: Json): [number, number] => json.numbersOf(2) as [number, number]

/** torchvision's pairs for blurring are horizontal before vertical. */
const swapped = ([x, y]: [number, number]): [number, number] => [y, x]

/** torchvision's borders are left, top, right, bottom. */
function padding(attrs: Json): DeterministicTransform {
  const [left, top, right, bottom] = attrs.get('padding').numbersOf(4) as [number, number, number, number]
  const mode = attrs.optional('mode', (json) => json.oneOf('constant', 'edge', 'reflect', 'symmetric')) ?? 'constant'
  return pad([top, right, bottom, left], { mode, fill: attrs.optional('fill', (json) => json.number()) ?? 0 })
}

/** torchvision's functions by name, and how far bytes may be off. */
const transforms: Readonly<Record<string, { make: (attrs: Json) => DeterministicTransform; tolerance?: 1 }>> = {
  resize: { make: (a) => resize(sizeOf(a.get('size')), { interpolation: filter(a) }) },
  center_crop: { make: (a) => centerCrop(sizeOf(a.get('size'))) },
  crop: { make: (a) => crop(box(a)) },
  resized_crop: { make: (a) => resizedCrop(box(a), sizeOf(a.get('size')), { interpolation: filter(a) }) },
  hflip: { make: () => horizontalFlip },
  vflip: { make: () => verticalFlip },
  pad: { make: padding },
  adjust_brightness: { make: (a) => adjustBrightness(factor(a)) },
  adjust_contrast: { make: (a) => adjustContrast(factor(a)) },
  adjust_saturation: { make: (a) => adjustSaturation(factor(a)) },
  adjust_sharpness: { make: (a) => adjustSharpness(factor(a)), tolerance: 1 },
  adjust_hue: { make: (a) => adjustHue(factor(a)), tolerance: 1 },
  posterize: { make: (a) => posterize(a.get('bits').integer()) },
  solarize: { make: (a) => solarize(a.get('threshold').number()) },
  autocontrast: { make: () => autocontrast },
  equalize: { make: () => equalize },
  invert: { make: () => invert },
  to_grayscale: { make: (a) => grayscale({ channels: a.get('channels').integer() as 1 | 3 }) },
  rotate: {
    make: (a) =>
      rotate(a.get('angle').number(), {
        interpolation: pointFilter(a),
        expand: a.optional('expand', (json) => json.boolean()) ?? false,
      }),
    tolerance: 1,
  },
  affine: {
    make: (a) =>
      affine({
        angle: a.get('angle').number(),
        translate: a.get('translate').pair(),
        scale: a.get('scale').number(),
        shear: numberPair(a.get('shear')),
        interpolation: pointFilter(a),
      }),
    tolerance: 1,
  },
  gaussian_blur: {
    make: (a) => gaussianBlur(swapped(a.get('kernelSize').pair()), { sigma: swapped(numberPair(a.get('sigma'))) }),
    tolerance: 1,
  },
}

/** Bytes that differ, and the largest difference. */
function compare(
  { data, height, width, channels }: Pixels,
  shape: readonly number[],
  bytes: Uint8Array,
  most: number,
): Outcome {
  // A grey picture has two dimensions there.
  const got = [height, width, ...(shape.length === 2 ? [] : [channels])]
  if (String(got) !== String(shape)) return fail(`expected ${shape.join(' x ')}, got ${got.join(' x ')}`)
  let [worst, count] = [0, 0]
  for (const [i, byte] of bytes.entries()) {
    const difference = Math.abs(byte - (data[i] as number))
    if (difference > 0) count++
    worst = Math.max(worst, difference)
  }
  const rest = count === 0 ? 'bytes equal' : `${count} of ${bytes.length} bytes off by at most ${worst}`
  return { passed: data.length === bytes.length && worst <= most, text: worst <= most ? rest : `${rest} > ${most}` }
}

function normalizeCase(golden: Json): Case {
  return {
    id: 'normalize',
    run: () => {
      const mean = golden.get('mean').numbers()
      const { data, height, width, channels } = normalize(
        mean,
        golden.get('std').numbers(),
      )(picture(golden.get('input')))
      const shape = [channels, height, width]
      if (String(shape) !== String(golden.get('shape').shape())) return fail(`got ${shape.join(' x ')}`)
      // The reference is channels first: its first values are the first pixels' red.
      const first = golden.get('first').numbers()
      const error = Math.max(...first.map((value, i) => Math.abs(value - (data[i * channels] as number))))
      const expected = golden.get('sum').number()
      let sum = 0
      for (const value of data) sum += value
      return judge([
        { what: 'first values', error, tolerance: 0 },
        { what: 'sum', error: Math.abs(sum - expected) / Math.abs(expected), tolerance: 1e-12 },
      ])
    },
  }
}

export function transformCases(text: string, file: string): Case[] {
  const json = Json.parse(text, file)
  const cases = json.get('cases').list()
  const made = cases.map((golden, i): Case => {
    const op = golden.get('op').string()
    return {
      id: `${op} ${i}`,
      run: () => {
        const transform = Object.hasOwn(transforms, op) ? transforms[op] : undefined
        if (!transform) return fail(`there is no transform ${op}`)
        const result = transform.make(golden.get('attrs'))(picture(golden.get('input')))
        const bytes = Buffer.from(golden.get('bytes').string(), 'base64')
        return compare(result, golden.get('shape').shape(), bytes, transform.tolerance ?? 0)
      },
    }
  })
  return json.has('normalize') ? [...made, normalizeCase(json.get('normalize'))] : made
}
