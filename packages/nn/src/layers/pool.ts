/** Pooling as layers, all from (N, C, H, W). */
import {
  ArgumentError,
  type AvgPool2dOptions,
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool2d,
  globalAvgPool2d,
  maxPool2d,
  type Pair,
  type Pool2dOptions,
  pair,
  readOptions,
  type Tensor,
} from '@convnets/tensor'
import { Module } from '../module.ts'
import { checkFlag, size } from './check.ts'

type Sizes = readonly [number, number]

function checkHalf(layer: string, padding: Sizes, kernel: Sizes): void {
  for (const axis of [0, 1] as const) {
    if (2 * padding[axis] > kernel[axis]) {
      throw new ArgumentError(`${layer}: padding expects at most half of kernel ${kernel[axis]}, got ${padding[axis]}`)
    }
  }
}

/** Maximum over windows; padding never wins. Stride defaults to the kernel. */
export class MaxPool2d extends Module {
  readonly kernel: Sizes
  readonly stride: Sizes
  readonly padding: Sizes
  readonly ceilMode: boolean

  constructor(kernel: Pair, options: Pool2dOptions = {}) {
    super()
    this.kernel = pair('MaxPool2d', 'kernel', kernel, 1)
    const defaults = { stride: kernel, padding: 0, ceilMode: false }
    const { stride, padding, ceilMode } = readOptions('MaxPool2d', options, defaults)
    this.stride = pair('MaxPool2d', 'stride', stride, 1)
    this.padding = pair('MaxPool2d', 'padding', padding, 0)
    checkHalf('MaxPool2d', this.padding, this.kernel)
    this.ceilMode = checkFlag('MaxPool2d', 'ceilMode', ceilMode)
  }

  forward(x: Tensor): Tensor {
    const { kernel, stride, padding, ceilMode } = this
    return maxPool2d(x, kernel, { stride, padding, ceilMode })
  }

  override describe(): string {
    const { kernel, stride, padding, ceilMode } = this
    return `${size(kernel)}, stride: ${size(stride)}, padding: ${size(padding)}${ceilMode ? ', ceilMode: true' : ''}`
  }
}

/** Average over windows. Stride defaults to the kernel; padding counts as zeros unless `countIncludePad` is false. */
export class AvgPool2d extends Module {
  readonly kernel: Sizes
  readonly stride: Sizes
  readonly padding: Sizes
  readonly ceilMode: boolean
  readonly countIncludePad: boolean

  constructor(kernel: Pair, options: AvgPool2dOptions = {}) {
    super()
    this.kernel = pair('AvgPool2d', 'kernel', kernel, 1)
    const defaults = { stride: kernel, padding: 0, ceilMode: false, countIncludePad: true }
    const { stride, padding, ceilMode, countIncludePad } = readOptions('AvgPool2d', options, defaults)
    this.stride = pair('AvgPool2d', 'stride', stride, 1)
    this.padding = pair('AvgPool2d', 'padding', padding, 0)
    checkHalf('AvgPool2d', this.padding, this.kernel)
    this.ceilMode = checkFlag('AvgPool2d', 'ceilMode', ceilMode)
    this.countIncludePad = checkFlag('AvgPool2d', 'countIncludePad', countIncludePad)
  }

  forward(x: Tensor): Tensor {
    const { kernel, stride, padding, ceilMode, countIncludePad } = this
    return avgPool2d(x, kernel, { stride, padding, ceilMode, countIncludePad })
  }

  override describe(): string {
    const { kernel, stride, padding, ceilMode, countIncludePad } = this
    const more = `${ceilMode ? ', ceilMode: true' : ''}${countIncludePad ? '' : ', countIncludePad: false'}`
    return `${size(kernel)}, stride: ${size(stride)}, padding: ${size(padding)}${more}`
  }
}

/** Average over windows that divide the image into `outputSize` cells: (N, C, H, W) to (N, C, h, w). */
export class AdaptiveAvgPool2d extends Module {
  readonly outputSize: Sizes

  constructor(outputSize: Pair) {
    super()
    this.outputSize = pair('AdaptiveAvgPool2d', 'outputSize', outputSize, 1)
  }

  forward(x: Tensor): Tensor {
    return adaptiveAvgPool2d(x, this.outputSize)
  }

  override describe(): string {
    return size(this.outputSize)
  }
}

/** Maximum over windows that divide the image into `outputSize` cells: (N, C, H, W) to (N, C, h, w). */
export class AdaptiveMaxPool2d extends Module {
  readonly outputSize: Sizes

  constructor(outputSize: Pair) {
    super()
    this.outputSize = pair('AdaptiveMaxPool2d', 'outputSize', outputSize, 1)
  }

  forward(x: Tensor): Tensor {
    return adaptiveMaxPool2d(x, this.outputSize)
  }

  override describe(): string {
    return size(this.outputSize)
  }
}

/** Mean over height and width: (N, C, H, W) to (N, C). */
export class GlobalAvgPool2d extends Module {
  forward(x: Tensor): Tensor {
    return globalAvgPool2d(x)
  }
}
