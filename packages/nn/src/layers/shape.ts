/** Layers that change shape or nothing. */
import {
  ArgumentError,
  checkNumber,
  flatten,
  interpolate,
  type Pair,
  pair,
  readOptions,
  ShapeError,
  type Tensor,
} from '@convnets/tensor'
import { Module } from '../module.ts'
import { checkFlag, size } from './check.ts'

/** Joins the axes from `startDim` (1) to `endDim` (-1) in logical order: (N, C, H, W) to (N, C H W). */
export class Flatten extends Module {
  readonly startDim: number
  readonly endDim: number

  constructor(startDim = 1, endDim = -1) {
    super()
    for (const [name, dim] of [
      ['startDim', startDim],
      ['endDim', endDim],
    ] as const) {
      if (!Number.isInteger(dim)) throw new ArgumentError(`Flatten: ${name} expects an integer, got ${dim}`)
    }
    this.startDim = startDim
    this.endDim = endDim
  }

  forward(x: Tensor): Tensor {
    return flatten(x, this.startDim, this.endDim)
  }

  override describe(): string {
    return `${this.startDim}, ${this.endDim}`
  }
}

/** Its input, unchanged: a place-holder. */
export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x
  }
}

export interface UpsampleOptions {
  /** Size of the output; or else `scale`. */
  readonly size?: Pair
  /** Factor for height and width, for which the sizes must come out whole. */
  readonly scale?: number | readonly [number, number]
  /** 'nearest' (default) or 'bilinear'. */
  readonly mode?: 'nearest' | 'bilinear'
  /** Bilinear only: corner cells keep their values. Default false. */
  readonly alignCorners?: boolean
}

/** Resamples (N, C, H, W) to a size or by a factor. */
export class Upsample extends Module {
  readonly size: readonly [number, number] | undefined
  readonly scale: readonly [number, number] | undefined
  readonly mode: 'nearest' | 'bilinear'
  readonly alignCorners: boolean

  constructor(options: UpsampleOptions) {
    super()
    const defaults = { size: undefined, scale: undefined, mode: 'nearest', alignCorners: false } as const
    const { size, scale, mode, alignCorners } = readOptions('Upsample', options, defaults)
    if ((size === undefined) === (scale === undefined)) {
      throw new ArgumentError(`Upsample: expects size or scale, got ${scale === undefined ? 'neither' : 'both'}`)
    }
    if (mode !== 'nearest' && mode !== 'bilinear') {
      throw new ArgumentError(`Upsample: mode expects 'nearest' or 'bilinear', got ${String(mode)}`)
    }
    if (checkFlag('Upsample', 'alignCorners', alignCorners) && mode === 'nearest') {
      throw new ArgumentError('Upsample: alignCorners expects mode bilinear, got nearest')
    }
    this.size = size === undefined ? undefined : pair('Upsample', 'size', size, 1)
    const factors = typeof scale === 'number' ? ([scale, scale] as const) : scale
    for (const factor of factors ?? []) checkNumber('Upsample', 'scale', factor, Number.MIN_VALUE)
    this.scale = factors
    this.mode = mode
    this.alignCorners = alignCorners
  }

  forward(x: Tensor): Tensor {
    if (x.rank !== 4) throw new ShapeError(`Upsample: x expects (N, C, H, W), got (${x.shape.join(', ')})`)
    const { mode, alignCorners } = this
    return interpolate(x, this.size ?? this.#scaled(x.shape[2] ?? 0, x.shape[3] ?? 0), { mode, alignCorners })
  }

  #scaled(height: number, width: number): [number, number] {
    const [rows, columns] = this.scale ?? [1, 1]
    const sizes: [number, number] = [height * rows, width * columns]
    if (!sizes.every(Number.isInteger)) {
      throw new ShapeError(
        `Upsample: scale [${rows}, ${columns}] of (${height}, ${width}) expects whole sizes, got [${sizes}]`,
      )
    }
    return sizes
  }

  override describe(): string {
    const by = this.size === undefined ? `scale: ${this.scale?.join(' x ')}` : `size: ${size(this.size)}`
    return `${by}, mode: '${this.mode}'${this.alignCorners ? ', alignCorners: true' : ''}`
  }
}
