/** Convolutions as layers. */
import {
  ArgumentError,
  type Conv2dOptions as ConvOptions,
  checkInteger,
  checkPrecision,
  conv2d,
  convTranspose2d,
  type Padding,
  type Pair,
  type Precision,
  pair,
  readOptions,
  type Tensor,
  zeros,
} from '@convnets/tensor'
import { defaultInit } from '../default-init.ts'
import { Module } from '../module.ts'
import { parameter } from '../parameter.ts'
import { checkFlag, checkGroups, checkPadding, size } from './check.ts'

export interface Conv2dOptions extends Omit<ConvOptions, 'activation'> {
  /** Size of the window: a number or [height, width]. */
  readonly kernel: Pair
  /** Adds a learned bias. Default true. */
  readonly bias?: boolean
}

/**
 * 2-D convolution, (N, inChannels, H, W) to (N, outChannels, H', W') with
 * H' = floor((H + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.
 *
 * Padding is a number, [height, width], [top, right, bottom, left], or 'same' as TensorFlow means it (the output has
 * ceil(H / stride) rows), which differs from PyTorch's for strides and even kernels.
 */
export class Conv2d extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly kernel: readonly [number, number]
  readonly stride: readonly [number, number]
  readonly padding: Padding
  readonly dilation: readonly [number, number]
  readonly groups: number
  /** Of this layer and its gradients; undefined: whatever holds when it is called. */
  readonly precision: Precision | undefined
  /** (outChannels, inChannels / groups, kernel height, kernel width) */
  weight: Tensor
  /** (outChannels) */
  bias: Tensor | undefined

  constructor(inChannels: number, outChannels: number, options: Conv2dOptions) {
    super()
    this.inChannels = checkInteger('Conv2d', 'inChannels', inChannels, 1)
    this.outChannels = checkInteger('Conv2d', 'outChannels', outChannels, 1)
    const { kernel, stride, padding, dilation, groups, precision, bias } = readOptions('Conv2d', given(options), {
      kernel: undefined,
      stride: 1,
      padding: 0,
      dilation: 1,
      groups: 1,
      precision: undefined,
      bias: true,
    })
    this.kernel = pair('Conv2d', 'kernel', requireKernel('Conv2d', kernel), 1)
    this.stride = pair('Conv2d', 'stride', stride, 1)
    this.padding = checkPadding('Conv2d', padding)
    this.dilation = pair('Conv2d', 'dilation', dilation, 1)
    this.groups = checkGroups('Conv2d', groups, inChannels, outChannels)
    this.precision = precision && checkPrecision('Conv2d', precision)
    checkFlag('Conv2d', 'bias', bias)
    this.weight = parameter(zeros([outChannels, inChannels / this.groups, ...this.kernel]))
    this.bias = bias ? parameter(zeros([outChannels])) : undefined
    defaultInit(this.weight, this.bias)
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, stride, padding, dilation, groups, precision } = this
    return conv2d(x, weight, bias, { stride, padding, dilation, groups, precision })
  }

  override describe(): string {
    return [
      `${this.inChannels}, ${this.outChannels}`,
      `kernel: ${size(this.kernel)}`,
      ...differing({ stride: [this.stride, 1], padding: [this.padding, 0], dilation: [this.dilation, 1] }),
      ...(this.groups === 1 ? [] : [`groups: ${this.groups}`]),
      ...(this.bias === undefined ? ['bias: false'] : []),
      ...(this.precision === undefined ? [] : [`precision: ${this.precision}`]),
    ].join(', ')
  }
}

export interface ConvTranspose2dOptions {
  /** Size of the window: a number or [height, width]. */
  readonly kernel: Pair
  /** Step of the convolution that this is the transpose of. Default 1. */
  readonly stride?: Pair
  /** Cells cut from every side of the full result. Default 0. */
  readonly padding?: Pair
  /** Cells added at the bottom and right, to choose among the sizes that a stride allows. Default 0. */
  readonly outputPadding?: Pair
  readonly dilation?: Pair
  readonly groups?: number
  /** Adds a learned bias. Default true. */
  readonly bias?: boolean
}

/**
 * Transposed convolution, (N, inChannels, H, W) to (N, outChannels, H', W') with
 * H' = (H - 1) stride - 2 padding + dilation (kernel - 1) + outputPadding + 1.
 */
export class ConvTranspose2d extends Module {
  readonly inChannels: number
  readonly outChannels: number
  readonly kernel: readonly [number, number]
  readonly stride: readonly [number, number]
  readonly padding: readonly [number, number]
  readonly outputPadding: readonly [number, number]
  readonly dilation: readonly [number, number]
  readonly groups: number
  /** (inChannels, outChannels / groups, kernel height, kernel width) */
  weight: Tensor
  /** (outChannels) */
  bias: Tensor | undefined

  constructor(inChannels: number, outChannels: number, options: ConvTranspose2dOptions) {
    super()
    const layer = 'ConvTranspose2d'
    this.inChannels = checkInteger(layer, 'inChannels', inChannels, 1)
    this.outChannels = checkInteger(layer, 'outChannels', outChannels, 1)
    const { kernel, stride, padding, outputPadding, dilation, groups, bias } = readOptions(layer, given(options), {
      kernel: undefined,
      stride: 1,
      padding: 0,
      outputPadding: 0,
      dilation: 1,
      groups: 1,
      bias: true,
    })
    this.kernel = pair(layer, 'kernel', requireKernel(layer, kernel), 1)
    this.stride = pair(layer, 'stride', stride, 1)
    this.padding = pair(layer, 'padding', padding, 0)
    this.outputPadding = pair(layer, 'outputPadding', outputPadding, 0)
    this.dilation = pair(layer, 'dilation', dilation, 1)
    this.groups = checkGroups(layer, groups, inChannels, outChannels)
    for (const axis of [0, 1] as const) {
      const limit = Math.max(this.stride[axis], this.dilation[axis])
      if (this.outputPadding[axis] >= limit) {
        throw new ArgumentError(
          `${layer}: outputPadding expects less than stride or dilation (${limit}), got ${this.outputPadding[axis]}`,
        )
      }
    }
    checkFlag(layer, 'bias', bias)
    this.weight = parameter(zeros([inChannels, outChannels / this.groups, ...this.kernel]))
    this.bias = bias ? parameter(zeros([outChannels])) : undefined
    defaultInit(this.weight, this.bias)
  }

  forward(x: Tensor): Tensor {
    const { weight, bias, stride, padding, outputPadding, dilation, groups } = this
    return convTranspose2d(x, weight, bias, { stride, padding, outputPadding, dilation, groups })
  }

  override describe(): string {
    return [
      `${this.inChannels}, ${this.outChannels}`,
      `kernel: ${size(this.kernel)}`,
      ...differing({
        stride: [this.stride, 1],
        padding: [this.padding, 0],
        outputPadding: [this.outputPadding, 0],
        dilation: [this.dilation, 1],
      }),
      ...(this.groups === 1 ? [] : [`groups: ${this.groups}`]),
      ...(this.bias === undefined ? ['bias: false'] : []),
    ].join(', ')
  }
}

/** Options, or none where there are none at all: it is the kernel that is missing then. */
function given<Options extends object>(options: Options | undefined): Partial<Options> {
  return options === undefined ? {} : options
}

function requireKernel(layer: string, kernel: Pair | undefined): Pair {
  if (kernel === undefined) {
    throw new ArgumentError(`${layer}: kernel expects a number or [height, width] in the options, got nothing`)
  }
  return kernel
}

/** The sizes that differ from their default, for a description. */
function differing(sizes: Readonly<Record<string, readonly [Padding, number]>>): string[] {
  return Object.entries(sizes).flatMap(([name, [value, usual]]) =>
    size(value) === String(usual) ? [] : [`${name}: ${size(value)}`],
  )
}
