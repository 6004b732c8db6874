import { describe, expect, it } from 'vitest'
import type { ConvSpec } from '../../src/backends/backend.ts'
import { convForward, convInputGrad, convWeightGrad } from '../../src/backends/reference/conv.ts'
import type { WasmBuffer } from '../../src/backends/wasm/derived.ts'
import { convKernels } from '../../src/backends/wasm/kernels/conv.ts'
import { suitsPixelwise, suitsPixelwiseWeightGradient } from '../../src/backends/wasm/kernels/small-maps.ts'
import { chosenTiles, tileCandidates, tileShape, turboCandidates } from '../../src/backends/wasm/kernels/tile-choice.ts'
import { winogradSide } from '../../src/backends/wasm/kernels/winograd-side.ts'
import type { TileSide } from '../../src/backends/wasm/kernels/winograd-transforms.ts'
import { getPrecision, setPrecision } from '../../src/backends/wasm/wasm.ts'
import { type Expr, f } from '../../src/formula.ts'
import { Generator } from '../../src/random.ts'
import { between, dot, expectClose, forSeeds, normals, randomConv } from '../numbers.ts'
import { GuardedEngine } from './guards.ts'
import { engine, expectSameBits, guarded, plain, upload } from './kernels.ts'

/** Random shapes per algorithm: so many, or what `CONV_SHAPES` says for a longer run. */
const scaled = (count: number): number => Number(process.env.CONV_SHAPES ?? count)

const host = new GuardedEngine(48)
const kernels = convKernels(host.engine, host.plain)

function sizes(s: ConvSpec): { x: number; w: number; y: number } {
  return {
    x: s.batch * s.inHeight * s.inWidth * s.inChannels,
    w: s.outChannels * s.kernelHeight * s.kernelWidth * (s.inChannels / s.groups),
    y: s.batch * s.outHeight * s.outWidth * s.outChannels,
  }
}

/** What the choice of an algorithm does not look at. */
const unplaced = { groupOut: 16, outImage: 0, outRow: 0, outColumn: 0 }

/** A square convolution over square images. */
function square(batch: number, size: number, inChannels: number, outChannels: number, kernel: number): ConvSpec {
  const pad = kernel >> 1
  return {
    batch,
    inHeight: size,
    inWidth: size,
    inChannels,
    outHeight: size + 2 * pad - kernel + 1,
    outWidth: size + 2 * pad - kernel + 1,
    outChannels,
    kernelHeight: kernel,
    kernelWidth: kernel,
    strideHeight: 1,
    strideWidth: 1,
    padTop: pad,
    padLeft: pad,
    dilationHeight: 1,
    dilationWidth: 1,
    groups: 1,
  }
}

/** Every stride, dilation, grouping and padding; some with many channels, some with long kernels. */
function anySpec(random: Generator): ConvSpec {
  const spec = randomConv(random)
  const factor = random.integer(4) === 0 ? between(random, 2, 9) : 1
  return { ...spec, inChannels: spec.inChannels * factor, outChannels: spec.outChannels * between(random, 1, 5) }
}

function depthwiseSpec(random: Generator): ConvSpec {
  const channels = between(random, 2, 21)
  return { ...randomConv(random), inChannels: channels, outChannels: channels, groups: channels }
}

function pointwiseSpec(random: Generator): ConvSpec {
  const spec = square(between(random, 1, 3), between(random, 1, 9), between(random, 1, 40), between(random, 1, 40), 1)
  const width = between(random, 1, 9)
  // Some with a stride, which leave pixels out.
  const stride = random.integer(3) === 0 ? between(random, 2, 3) : 1
  const [outHeight, outWidth] = [Math.ceil(spec.inHeight / stride), Math.ceil(width / stride)]
  return { ...spec, inWidth: width, strideHeight: stride, strideWidth: stride, outHeight, outWidth }
}

/** 3 x 3, stride 1, any padding, channels that fill vectors; so many tiles that Winograd takes those of `side`. */
function winogradSpec(random: Generator, side: TileSide, fewest = 16): ConvSpec {
  for (;;) {
    const channels = () => fewest + 4 * random.integer(3)
    const axis = (): [number, number, number] => {
      const [before, after, size] = [between(random, -1, 3), between(random, -1, 3), between(random, 3, 9)]
      return [before, size, size + before + after - 2]
    }
    const [[padTop, inHeight, outHeight], [padLeft, inWidth, outWidth]] = [axis(), axis()]
    const tiles = Math.ceil(outHeight / 4) * Math.ceil(outWidth / 4)
    // Just enough images.
    const batch = side === 2 ? Math.floor(4 / tiles) : Math.ceil(16 / tiles) + random.integer(2)
    const spec = {
      ...square(batch, 1, channels(), channels(), 3),
      ...{ inHeight, inWidth, outHeight, outWidth, padTop, padLeft },
    }
    if (outHeight > 0 && outWidth > 0 && winogradSide(host.engine, spec) === side) return spec
  }
}

/** Many images with few pixels: any kernel, stride, dilation and padding. */
function smallMapSpec(random: Generator): ConvSpec {
  for (;;) {
    const axis = (): Record<'size' | 'kernel' | 'stride' | 'dilation' | 'pad' | 'out', number> => {
      const [size, kernel, stride, dilation] = [1 + random.integer(5), 1 + random.integer(4), 1 + random.integer(3), 1]
      const wide = { size, kernel, stride, dilation: dilation + random.integer(2), pad: random.integer(kernel + 1) - 1 }
      const reach = (kernel - 1) * wide.dilation + 1
      return { ...wide, out: Math.floor((size + wide.pad + random.integer(kernel) - reach) / stride) + 1 }
    }
    const [y, x] = [axis(), axis()]
    const few = random.integer(3) === 0
    const spec: ConvSpec = {
      batch: few ? 1 + random.integer(3) : 8 + random.integer(4),
      inHeight: y.size,
      inWidth: x.size,
      inChannels: 16 + random.integer(20),
      outHeight: y.out,
      outWidth: x.out,
      outChannels: few ? 16 + 4 * random.integer(5) : 16 + random.integer(20),
      kernelHeight: y.kernel,
      kernelWidth: x.kernel,
      strideHeight: y.stride,
      strideWidth: x.stride,
      padTop: y.pad,
      padLeft: x.pad,
      dilationHeight: y.dilation,
      dilationWidth: x.dilation,
      groups: 1,
    }
    const served = few ? suitsPixelwiseWeightGradient(spec) : suitsPixelwise(host.engine, { ...spec, ...unplaced })
    if (y.out > 0 && x.out > 0 && served) return spec
  }
}

/** What a product of two normal numbers measures: where few sums cancel out, their rounding errors remain. */
const productSize = 1

/** The three kernels against the reference; `tolerances` of the forward pass and of the gradients. */
function check(
  random: Generator,
  spec: ConvSpec,
  [forward, gradient]: readonly [number, number] = [2e-6, 1e-5],
  where: GuardedEngine = host,
): void {
  const size = sizes(spec)
  const family = where === host ? kernels : convKernels(where.engine, where.plain)
  where.case(() => {
    const [x, w, g] = [where.normals(random, size.x), where.normals(random, size.w), where.normals(random, size.y)]
    const bias = random.integer(2) === 0 ? where.normals(random, spec.outChannels) : null
    const inputs = [x, w, g].map((buffer) => where.array(buffer)) as [Float32Array, Float32Array, Float32Array]
    const expected = [size.y, size.x, size.w].map((length) => new Float64Array(length))
    convForward(inputs[0], inputs[1], bias && where.array(bias), spec, expected[0]!)
    convInputGrad(inputs[2], inputs[1], spec, expected[1]!)
    convWeightGrad(inputs[0], inputs[2], spec, expected[2]!)
    expectClose(where.keep(family.conv2d(x, w, bias, spec)), expected[0]!, forward, productSize)
    expectClose(where.keep(family.conv2dInputGrad(g, w, spec)), expected[1]!, gradient, productSize)
    expectClose(where.keep(family.conv2dWeightGrad(x, g, spec)), expected[2]!, gradient, productSize)
  })
}

const activations: [Expr | null, (x: number) => number][] = [
  [null, (x) => x],
  [f.max(f.input(0), 0), (x) => Math.max(x, 0)],
  [f.mul(f.input(0), f.sigmoid(f.input(0))), (x) => x / (1 + Math.exp(-x))],
]

/** The convolution with a norm folded in, with and without activations. */
function checkNormalised(random: Generator, spec: ConvSpec): void {
  const size = sizes(spec)
  host.case(() => {
    const [x, w] = [host.normals(random, size.x), host.normals(random, size.w)]
    const vector = () => host.normals(random, spec.outChannels)
    const [mean, variance, weight, bias] = [vector(), vector(), vector(), vector()]
    const own = random.integer(2) === 0 ? vector() : null
    const values = host.array(variance)
    values.forEach((value, i) => {
      values[i] = 0.5 + Math.abs(value)
    })
    const eps = 1e-3
    const sums = new Float64Array(size.y)
    convForward(host.array(x), host.array(w), own && host.array(own), spec, sums)
    const expected = sums.slice()
    for (let i = 0; i < size.y; i++) {
      const [m, v, s, b] = [mean, variance, weight, bias].map((t) => host.array(t)[i % spec.outChannels] as number)
      expected[i] =
        (((expected[i] as number) - (m as number)) / Math.sqrt((v as number) + eps)) * (s as number) + (b as number)
    }
    const norm = { mean, variance, weight, bias, eps }
    const other = host.normals(random, size.y)
    for (const [given, numbers] of [
      [norm, expected],
      [null, sums],
    ] as const) {
      for (const residual of [null, other]) {
        const whole = numbers.map((value, i) => value + (residual ? (host.array(residual)[i] as number) : 0))
        for (const [act, exact] of activations) {
          const got = host.keep(kernels.conv2dFused!(x, w, own, given, residual, act, spec)!)
          expectClose(got, whole.map(exact), 5e-5, productSize)
        }
      }
    }
  })
}

// Thousands of float64 convolutions by plain loops: some seconds on an idle machine.
describe('convolution and its gradients', { timeout: 300_000 }, () => {
  it('equal the reference for every stride, dilation, grouping and padding', () => {
    forSeeds(scaled(600), (random) => check(random, anySpec(random)))
  })

  it('equal the reference by channel', () => {
    forSeeds(scaled(500), (random) => check(random, depthwiseSpec(random)))
  })

  it('equal the reference for 1 x 1 kernels', () => {
    forSeeds(scaled(500), (random) => check(random, pointwiseSpec(random)))
  })

  it('equal the reference by Winograd', () => {
    forSeeds(scaled(500), (random) => check(random, winogradSpec(random, 4), [5e-5, 1e-4]))
  })

  it('equal the reference by Winograd on small maps', () => {
    forSeeds(scaled(300), (random) => check(random, winogradSpec(random, 2), [5e-6, 1e-5]))
  })

  it('equal the reference by Winograd with so many channels that their parts share the transformed tiles', () => {
    const where = new GuardedEngine(160)
    for (const side of [2, 4] as const) {
      // Of these the reference takes long.
      forSeeds(Math.min(scaled(20), 300), (random) =>
        check(random, winogradSpec(random, side, 64), [5e-5, 1e-4], where),
      )
    }
  })

  it('equal the reference on small maps of many images', () => {
    forSeeds(scaled(150), (random) => check(random, smallMapSpec(random)))
  })

  it('equal the reference where a row of tiles is more than a block', () => {
    const random = new Generator(4)
    for (const [inWidth, pad] of [
      [100, 1],
      [131, 0],
      [70, 1],
    ] as const) {
      const spec = square(1, 11, 16, 20, 3)
      const padded = { padTop: pad, padLeft: pad, outHeight: 9 + 2 * pad, outWidth: inWidth - 2 + 2 * pad }
      check(random, { ...spec, inWidth, ...padded }, [5e-5, 1e-4])
    }
  })

  it('equal the reference where the pixels of a 1 x 1 kernel are taken in parts', () => {
    const spec = square(1, 30, 64, 32, 1)
    check(new Generator(5), { ...spec, inWidth: 100, outWidth: 100 })
  })

  it('equal the reference for the shapes of real networks', () => {
    const random = new Generator(3)
    const base = square(1, 9, 8, 8, 3)
    const specs: ConvSpec[] = [
      // Stems: 1 and 3 channels, 7 x 7 and 11 x 11.
      square(2, 12, 1, 16, 3),
      { ...square(1, 23, 3, 20, 7), strideHeight: 2, strideWidth: 2, outHeight: 12, outWidth: 12 },
      { ...square(1, 35, 3, 8, 11), strideHeight: 4, strideWidth: 4, padTop: 2, padLeft: 2, outHeight: 8, outWidth: 8 },
      // Down-sampling 1 x 1, which skips pixels.
      { ...square(2, 9, 12, 24, 1), strideHeight: 2, strideWidth: 2, outHeight: 5, outWidth: 5 },
      // TF's SAME with stride 2: more padding at the end.
      { ...base, padTop: 0, padLeft: 0, strideHeight: 2, strideWidth: 2, outHeight: 5, outWidth: 5 },
      // Grouped bottlenecks, factorised 1 x 7 and 7 x 1, depthwise multiplier.
      { ...square(1, 9, 32, 32, 3), groups: 8 },
      { ...square(1, 11, 10, 6, 1), kernelWidth: 7, padLeft: 3 },
      { ...square(1, 11, 10, 6, 1), kernelHeight: 7, padTop: 3 },
      { ...square(2, 7, 5, 15, 3), groups: 5 },
      // As a transposed convolution: 4 x 4, stride 2.
      { ...square(1, 12, 7, 9, 4), strideHeight: 2, strideWidth: 2, padTop: 1, padLeft: 1, outHeight: 6, outWidth: 6 },
      // A kernel larger than the image.
      { ...square(1, 3, 4, 4, 7), outHeight: 3, outWidth: 3 },
    ]
    for (const spec of specs) check(random, spec)
  })

  it('equal the reference where heavy weights are split among the units', () => {
    const spec = { ...square(1, 5, 132, 250, 3), strideHeight: 2, strideWidth: 2, outHeight: 3, outWidth: 3 }
    check(new Generator(9), spec, undefined, new GuardedEngine(160))
  })

  it('equal the reference with a norm folded in', () => {
    const kinds = [anySpec, depthwiseSpec, pointwiseSpec, smallMapSpec] as const
    const winograds = ([2, 4] as const).map((side) => (random: Generator) => winogradSpec(random, side))
    for (const kind of [...kinds, ...winograds]) forSeeds(scaled(40), (random) => checkNormalised(random, kind(random)))
  })

  it('fold a norm anew when anything that it is made of has changed', () => {
    host.case(() => {
      const [random, spec] = [new Generator(3), square(1, 6, 4, 5, 3)]
      const size = sizes(spec)
      const [x, w] = [host.normals(random, size.x), host.normals(random, size.w)]
      const vectors = Array.from({ length: 5 }, () => host.normals(random, spec.outChannels)) as Five<WasmBuffer>
      const [mean, variance, weight, bias, own] = vectors
      host.array(variance).fill(2)
      const norm = { mean, variance, weight, bias, eps: 1e-5 }
      const run = () => [...host.keep(kernels.conv2dFused!(x, w, own, norm, null, null, spec)!)]
      const first = run()
      expect(run()).toEqual(first)
      let last = first
      for (const buffer of [w, ...vectors]) {
        const values = host.array(buffer)
        values.forEach((value, i) => {
          values[i] = value + 0.5
        })
        buffer.version++
        const next = run()
        expect(next).not.toEqual(last)
        last = next
      }
      const other = { ...norm, eps: 1 }
      expect([...host.keep(kernels.conv2dFused!(x, w, own, other, null, null, spec)!)]).not.toEqual(last)
    })
  })

  it('give zeros for an empty batch', () => {
    host.case(() => {
      const spec = square(0, 5, 3, 4, 3)
      const random = new Generator(0)
      const [x, w] = [host.normals(random, 0), host.normals(random, sizes(spec).w)]
      expect(host.keep(kernels.conv2d(x, w, null, spec)).length).toBe(0)
      expect(host.keep(kernels.conv2dInputGrad(x, w, spec)).length).toBe(0)
      expect(host.keep(kernels.conv2dWeightGrad(x, x, spec)).every((value) => value === 0)).toBe(true)
    })
  })

  it('read changed weights anew', () => {
    for (const spec of [square(1, 6, 3, 5, 3), square(4, 8, 16, 16, 3), { ...square(1, 6, 4, 4, 3), groups: 4 }]) {
      host.case(() => {
        const random = new Generator(2)
        const [x, w] = [host.normals(random, sizes(spec).x), host.normals(random, sizes(spec).w)]
        const before = host.keep(kernels.conv2d(x, w, null, spec)).slice()
        const again = host.keep(kernels.conv2d(x, w, null, spec)).slice()
        host.array(w).forEach((value, i, all) => {
          all[i] = 2 * value
        })
        w.version++
        const after = host.keep(kernels.conv2d(x, w, null, spec)).slice()
        expect(again).toEqual(before)
        // Doubling is exact.
        expect(after).toEqual(before.map((value) => 2 * value))
      })
    }
  })

  const large: ConvSpec[] = [
    square(2, 40, 32, 48, 3),
    square(3, 24, 24, 40, 5),
    { ...square(2, 31, 16, 24, 3), strideHeight: 2, strideWidth: 2, outHeight: 16, outWidth: 16 },
    { ...square(2, 28, 40, 40, 3), groups: 40 },
    { ...square(1, 28, 32, 64, 3), groups: 4 },
    square(2, 28, 64, 32, 1),
    square(40, 7, 64, 64, 3),
    // More tiles than the weight gradient transforms at a time: in chunks, and in chunks and parts of the channels.
    square(3, 92, 16, 20, 3),
    square(2, 56, 64, 96, 3),
    square(1, 16, 128, 208, 3),
    square(16, 2, 64, 96, 3),
    { ...square(1, 14, 128, 256, 3), strideHeight: 2, strideWidth: 2, outHeight: 7, outWidth: 7 },
    { ...square(2, 15, 64, 96, 1), strideHeight: 2, strideWidth: 2, outHeight: 8, outWidth: 8 },
    { ...square(16, 4, 48, 64, 3), strideHeight: 2, strideWidth: 2, outHeight: 2, outWidth: 2 },
  ]

  it('are adjoint to each other on images of many bands and blocks', () => {
    const family = guarded(convKernels(engine, plain))
    for (const spec of large) {
      const random = new Generator(7)
      const size = sizes(spec)
      const [x, w, g] = [size.x, size.w, size.y].map((length) => upload(normals(random, length)))
      const results = [
        family.conv2d(x!, w!, null, spec),
        family.conv2dInputGrad(g!, w!, spec),
        family.conv2dWeightGrad(x!, g!, spec),
      ]
      const products = [g!, x!, w!].map((buffer, i) => dot(engine.array(buffer), engine.array(results[i]!)))
      // The sums are random walks: compare with the length of their steps.
      const scale = Math.sqrt(dot(engine.array(results[0]!), engine.array(results[0]!)) * size.y)
      expect(Math.abs(products[1]! - products[0]!) / scale).toBeLessThan(1e-6)
      expect(Math.abs(products[2]! - products[0]!) / scale).toBeLessThan(1e-6)
      for (const buffer of [x!, w!, g!, ...results]) engine.free(buffer)
    }
  })

  it('give the same bits for any number of threads', () => {
    const family = guarded(convKernels(engine, plain))
    const random = new Generator(8)
    for (const spec of large) {
      const size = sizes(spec)
      const [x, w, g] = [size.x, size.w, size.y].map((length) => upload(normals(random, length)))
      expectSameBits(() => ({
        forward: family.conv2d(x!, w!, null, spec),
        input: family.conv2dInputGrad(g!, w!, spec),
        weight: family.conv2dWeightGrad(x!, g!, spec),
      }))
      for (const buffer of [x!, w!, g!]) engine.free(buffer)
    }
  })

  it('equal the reference, and each other to the bit, with every tile that an engine may choose', () => {
    const chosen = tileShape(host.engine)
    const specs = [square(2, 9, 21, 26, 3), square(3, 12, 16, 20, 3), square(2, 6, 22, 30, 1), square(9, 2, 24, 28, 3)]
    for (const spec of specs) {
      const results = [...tileCandidates, ...turboCandidates].map((shape) => {
        chosenTiles.set(host.engine, shape)
        check(new Generator(5), spec, [5e-5, 1e-4])
        const random = new Generator(6)
        const size = sizes(spec)
        const inputs = [size.x, size.w, size.y].map((length) => {
          const buffer = host.engine.alloc('float32', length)
          host.engine.array(buffer).set(normals(random, length))
          return buffer
        })
        const [x, w, g] = inputs as [WasmBuffer, WasmBuffer, WasmBuffer]
        const { conv2d, conv2dInputGrad, conv2dWeightGrad } = kernels
        const outputs = [conv2d(x, w, null, spec), conv2dInputGrad(g, w, spec), conv2dWeightGrad(x, g, spec)]
        const numbers = outputs.map((buffer) => Array.from(host.engine.array(buffer)))
        for (const buffer of [...inputs, ...outputs]) host.engine.free(buffer)
        return numbers
      })
      for (const result of results) expect(result).toEqual(results[0])
    }
    chosenTiles.set(host.engine, chosen)
  })

  it('know two precisions', () => {
    expect(getPrecision()).toBe('fast')
    setPrecision('strict')
    expect(getPrecision()).toBe('strict')
    setPrecision('fast')
    expect(() => setPrecision('exact' as 'fast')).toThrow(
      "setPrecision: precision expects 'fast' or 'strict', got 'exact'",
    )
  })

  it('use no Winograd where precision is strict', () => {
    host.engine.precision = 'strict'
    try {
      const spec = square(4, 12, 16, 16, 3)
      expect(winogradSide(host.engine, spec)).toBeUndefined()
      check(new Generator(4), spec, [1e-6, 1e-6])
    } finally {
      host.engine.precision = 'fast'
    }
  })

  it('equal the reference in the short sums of strict precision', () => {
    host.engine.precision = 'strict'
    try {
      forSeeds(150, (random) => {
        const spec = anySpec(random)
        check(random, { ...spec, inChannels: spec.inChannels * between(random, 4, 24) }, [1e-6, 1e-5])
        check(random, { ...pointwiseSpec(random), inChannels: between(random, 60, 200) }, [1e-6, 1e-5])
      })
    } finally {
      host.engine.precision = 'fast'
    }
  })

  it('round less where precision is strict', () => {
    const random = new Generator(5)
    // No 3 x 3 kernel, which Winograd would take where precision is fast.
    for (const spec of [square(1, 8, 96, 16, 5), square(1, 8, 2048, 16, 1)]) {
      const size = sizes(spec)
      const [x, w] = [normals(random, size.x), normals(random, size.w)] as const
      const [from, weight] = [x, w].map((values) => Float32Array.from(values)) as [Float32Array, Float32Array]
      const expected = new Float64Array(size.y)
      convForward(from, weight, null, spec, expected)
      const error = (precision: 'fast' | 'strict'): number => {
        host.engine.precision = precision
        try {
          let sum = 0
          host.case(() => {
            const [a, b] = [host.normals(random, size.x), host.normals(random, size.w)]
            host.array(a).set(from)
            host.array(b).set(weight)
            const got = host.keep(kernels.conv2d(a, b, null, spec))
            sum = got.reduce((total, value, i) => total + (value - (expected[i] as number)) ** 2, 0)
          })
          return Math.sqrt(sum)
        } finally {
          host.engine.precision = 'fast'
        }
      }
      expect(error('strict')).toBeLessThan(0.6 * error('fast'))
    }
  })
})

type Five<T> = [T, T, T, T, T]
