/** Inception modules outside of any model: shapes, keys, and what the papers say of one in terms of another. */
import {
  type Block,
  InceptionResNetA,
  InceptionResNetB,
  InceptionResNetC,
  InceptionResNetMixed,
  InceptionResNetReductionB,
  InceptionStem,
  InceptionV1,
  InceptionV1Aux,
  InceptionV2,
  InceptionV3A,
  InceptionV3Aux,
  InceptionV3B,
  InceptionV3C,
  InceptionV3D,
  InceptionV3E,
  InceptionV4A,
  InceptionV4B,
  InceptionV4C,
  InceptionV4ReductionB,
  PoolAndConv,
  ReductionA,
} from '@convnets/blocks'
import { BatchNorm2d, Conv2d, Identity, Sequential } from '@convnets/nn'
import {
  cat,
  maxPool2d,
  noGrad,
  pad,
  randn,
  seeded,
  setDefaultBackend,
  type Tensor,
  tidy,
  wasm,
} from '@convnets/tensor'
import { hollow } from '@convnets/testkit'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const v2 = { one: 64, three: [64, 96], double: [64, 96], pool: 32 } as const
const between = { one: 0, three: [128, 160], double: [64, 96], pool: 0 } as const

/** Every module, the cells of a map with 17 that come out, and the channels that come out of 192. */
const modules: readonly (readonly [string, () => Block, cells: number, channels: number])[] = [
  ['InceptionV1', () => new InceptionV1(192, [64, 96, 128, 16, 32, 32]), 17, 256],
  ['InceptionV2', () => new InceptionV2(192, v2), 17, 288],
  ['InceptionV2, max', () => new InceptionV2(192, v2, { pooling: 'max' }), 17, 288],
  ['InceptionV3A', () => new InceptionV3A(192, 32), 17, 256],
  ['InceptionV3B', () => new InceptionV3B(192), 8, 672],
  ['InceptionV3C', () => new InceptionV3C(192, 128), 17, 768],
  ['InceptionV3D', () => new InceptionV3D(192), 8, 704],
  ['InceptionV3E', () => new InceptionV3E(192), 17, 2048],
  ['PoolAndConv', () => new PoolAndConv(192, 96), 8, 288],
  ['InceptionV4A', () => new InceptionV4A(192), 17, 384],
  ['InceptionV4B', () => new InceptionV4B(192), 17, 1024],
  ['InceptionV4C', () => new InceptionV4C(192), 17, 1536],
  ['ReductionA', () => new ReductionA(192, { k: 192, l: 224, m: 256, n: 384 }), 8, 832],
  ['InceptionV4ReductionB', () => new InceptionV4ReductionB(192), 8, 704],
  ['InceptionResNetA', () => new InceptionResNetA(192, [32, 48, 64], { scale: 0.17 }), 17, 192],
  ['InceptionResNetB', () => new InceptionResNetB(192, [192, 128, 160, 192], { scale: 0.1 }), 17, 192],
  ['InceptionResNetC', () => new InceptionResNetC(192, [192, 192, 224, 256], { scale: 0.2 }), 17, 192],
  ['InceptionResNetReductionB', () => new InceptionResNetReductionB(192, [288, 288, 320]), 8, 1184],
  ['InceptionResNetMixed', () => new InceptionResNetMixed(192), 17, 320],
]

describe.each(modules)('%s', (_, make, cells, channels) => {
  beforeEach(() => setDefaultBackend(hollow))
  afterEach(() => setDefaultBackend(wasm))

  test('says which channels go in and come out, and keeps to it', () => {
    const block = make()
    expect(block).toMatchObject({ inChannels: 192, outChannels: channels })
    expect(block.forward(randn([2, 192, 17, 17])).shape).toEqual([2, channels, cells, cells])
    expect(() => block.forward(randn([2, 191, 17, 17]))).toThrow('191')
  })

  test('chains with others without arithmetic', () => {
    const chain = new Sequential(make(), (inChannels) => new InceptionV4A(inChannels))
    expect(chain).toMatchObject({ inChannels: 192, outChannels: 384 })
  })
})

test('every parameter of every module gets a gradient', () => {
  for (const [name, make] of modules) {
    const block = make()
    tidy(() =>
      block
        .forward(seeded(1, () => randn([2, 192, 7, 7])))
        .square()
        .mean()
        .backward(),
    )
    for (const [key, p] of block.namedParameters()) {
      // A bias in front of a batch norm, or a scale at its optimum, may have next to none; none at all is a wire not laid.
      expect(p.grad, `${name} ${key}`).toBeDefined()
      if (key.endsWith('conv.weight'))
        expect(
          p.grad?.dataSync().some((g) => g !== 0),
          `${name} ${key}`,
        ).toBe(true)
    }
    block.dispose()
  }
})

describe('what the papers say', () => {
  test('the stem makes 384 maps of 35 cells of 299 pixels', () => {
    setDefaultBackend(hollow)
    try {
      const stem = new InceptionStem(3)
      expect(stem).toMatchObject({ inChannels: 3, outChannels: 384, length: 6 })
      expect(stem.forward(randn([1, 3, 299, 299])).shape).toEqual([1, 384, 35, 35])
    } finally {
      setDefaultBackend(wasm)
    }
  })

  test('modules between stages of BN-Inception let all input channels pass through their pooling', () => {
    const block = new InceptionV2(320, between, { stride: 2 }).eval()
    expect(block.outChannels).toBe(160 + 96 + 320)
    tidy(() => {
      const x = randn([1, 320, 12, 12])
      const y = noGrad(() => block.forward(x))
      const pooled = maxPool2d(x, 3, { stride: 2, ceilMode: true })
      expect(y.shape).toEqual([1, 576, 6, 6])
      expect(Array.from(y.narrow(1, 256, 320).dataSync())).toEqual(Array.from(pooled.dataSync()))
    })
    block.dispose()
  })

  test('a 5x5 branch with zeros around a 3x3 kernel is a 3x3 branch', () => {
    const make = (wide: 3 | 5): InceptionV1 =>
      seeded(3, () => new InceptionV1(8, [4, 4, 4, 4, 6, 4], { wide, norm: null }))
    const [five, three] = [make(5), make(3)]
    const state = new Map(three.stateDict())
    const kernel = state.get('branch3.1.conv.weight') as Tensor
    tidy(() => {
      state.set('branch3.1.conv.weight', pad(kernel.detach(), [1, 1, 1, 1]))
      expect(five.loadStateDict(state).missing).toEqual([])
      const x = randn([1, 8, 9, 9])
      const difference = five.forward(x).sub(three.forward(x)).abs().amax().item()
      expect(difference).toBeLessThan(1e-5)
    })
    for (const block of [five, three]) block.dispose()
  })

  test('pooled channels come before those of the convolution in the stem’s first join, behind them in its second', () => {
    const blocks = [true, false].map((poolFirst) => seeded(1, () => new PoolAndConv(4, 6, { poolFirst })).eval())
    tidy(() => {
      const x = randn([1, 4, 9, 9])
      const [first, last] = blocks.map((block) => noGrad(() => block.forward(x))) as [Tensor, Tensor]
      const swapped = cat([last.narrow(1, 6, 4), last.narrow(1, 0, 6)], 1)
      expect(Array.from(first.dataSync())).toEqual(Array.from(swapped.dataSync()))
      expect(Array.from(first.narrow(1, 0, 4).dataSync())).toEqual(
        Array.from(maxPool2d(x, 3, { stride: 2 }).dataSync()),
      )
    })
    for (const block of blocks) block.dispose()
  })

  test('a residual block adds its branch times the scale, with ReLU or without', () => {
    const make = (scale: number, relu: boolean): InceptionResNetB =>
      seeded(2, () => new InceptionResNetB(8, [4, 4, 4, 4], { scale, relu })).eval()
    const blocks = [make(1, false), make(0.1, false), make(0.1, true)]
    tidy(() => {
      const x = randn([1, 8, 5, 5])
      const [whole, tenth, cut] = blocks.map((block) => noGrad(() => block.forward(x))) as [Tensor, Tensor, Tensor]
      const expected = whole.sub(x).mul(0.1).add(x)
      expect(tenth.sub(expected).abs().amax().item()).toBeLessThan(1e-6)
      expect(Array.from(cut.dataSync())).toEqual(Array.from(tenth.dataSync(), (value) => Math.max(value, 0)))
    })
    for (const block of blocks) block.dispose()
  })

  test('the 1x1 convolution of a residual block has a bias and no normalisation', () => {
    const keys = [...new InceptionResNetC(8, [4, 4, 4, 4]).stateDict().keys()]
    expect(keys.filter((key) => key.startsWith('conv2d'))).toEqual(['conv2d.weight', 'conv2d.bias'])
    expect(keys.filter((key) => key.endsWith('.bias') && !key.includes('.bn.'))).toEqual(['conv2d.bias'])
  })
})

describe('auxiliary classifiers', () => {
  test('of GoogLeNet pool maps of any size, or as in the paper those of 14 to 16 cells', () => {
    const [adaptive, sliding] = [new InceptionV1Aux(8, 5), new InceptionV1Aux(8, 5, { pool: 'sliding' })]
    expect(adaptive.forward(randn([2, 8, 3, 20])).shape).toEqual([2, 5])
    for (const cells of [14, 16]) expect(sliding.forward(randn([2, 8, cells, cells])).shape).toEqual([2, 5])
    for (const cells of [13, 17]) {
      expect(() => sliding.forward(randn([2, 8, cells, cells]))).toThrow('maps of 14 to 16 cells each way')
    }
    for (const head of [adaptive, sliding]) head.dispose()
  })

  test('of Inception v3 take maps from 17 cells on', () => {
    const head = new InceptionV3Aux(8, 5)
    expect(head.forward(randn([2, 8, 17, 18])).shape).toEqual([2, 5])
    expect(() => head.forward(randn([2, 8, 16, 17]))).toThrow(
      'InceptionV3Aux: x expects maps of at least 17 cells each way, got (2, 8, 16, 17)',
    )
    head.dispose()
  })
})

describe('options', () => {
  test('norm null leaves normalisation out and puts biases in; another norm takes its place', () => {
    const plain = [...new InceptionV4A(8, { norm: null }).namedModules().values()]
    expect(plain.some((module) => module instanceof BatchNorm2d)).toBe(false)
    expect(plain.filter((module) => module instanceof Conv2d).every(({ bias }) => bias !== undefined)).toBe(true)
    const own = [
      ...new InceptionV3E(8, { norm: (channels) => new BatchNorm2d(channels, { eps: 0.5 }) }).namedModules().values(),
    ]
    expect(new Set(own.flatMap((module) => (module instanceof BatchNorm2d ? [module.eps] : [])))).toEqual(
      new Set([0.5]),
    )
  })

  test('attention sees the channels of the whole module', () => {
    const seen: number[] = []
    const attention = (channels: number): Identity => {
      seen.push(channels)
      return new Identity()
    }
    const blocks = [
      new InceptionV1(8, [4, 4, 4, 4, 6, 4], { attention }),
      new InceptionV2(8, v2, { attention }),
      new InceptionV3C(8, 4, { attention }),
      new InceptionV4C(8, { attention }),
      new InceptionResNetA(8, [4, 4, 4], { attention }),
    ]
    expect(seen).toEqual([18, 288, 768, 1536, 8])
    for (const block of blocks) {
      expect([...block.namedChildren().keys()]).toContain('attention')
      block.dispose()
    }
  })

  test.each([
    [() => new InceptionV1(8, [4, 4, 4, 4, 6, 4], { wide: 4 as 3 }), 'InceptionV1: wide expects 3 or 5, got 4'],
    [() => new InceptionV2(8, v2, { stride: 3 as 2 }), 'InceptionV2: stride expects 1 or 2, got 3'],
    [() => new InceptionV2(8, v2, { pooling: 'min' as 'max' }), "InceptionV2: pooling expects 'avg' or 'max', got min"],
    [() => new InceptionV3A(8, 0), 'InceptionV3A: poolChannels expects an integer of at least 1, got 0'],
    [() => new InceptionStem(0), 'InceptionStem: inChannels expects an integer of at least 1, got 0'],
    [() => new InceptionV4A(1.5), 'expects an integer of at least 1, got 1.5'],
    [
      () => new InceptionV1Aux(8, 5, { pool: 'none' as 'sliding' }),
      "InceptionV1Aux: pool expects 'adaptive' or 'sliding', got none",
    ],
  ] as const)('refuses with a sentence: $1', (make, message) => {
    expect(make).toThrow(message)
  })
})
