/** How EfficientNets grow. Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", 2019. */
import { roundChannels } from '@convnets/blocks'
import { checkInteger, checkNumber, readOptions } from '@convnets/tensor'

export interface ScalingConstants {
  /** Factor of the depth for each step. Default 1.2. */
  readonly alpha?: number
  /** Factor of the width for each step. Default 1.1. */
  readonly beta?: number
  /** Factor of the resolution for each step. Default 1.15. */
  readonly gamma?: number
}

/** Factors that a network is scaled by, each 1 for B0. */
export interface CompoundScale {
  /** Of the number of layers. */
  readonly depth: number
  /** Of the number of channels. */
  readonly width: number
  /** Of height and width of the images. */
  readonly resolution: number
  /** Of the multiply-accumulates, which grow with depth, width^2 and resolution^2. */
  readonly macs: number
}

/**
 * Depth alpha^phi, width beta^phi and resolution gamma^phi, in proportion: equation 3 of the paper, with constants found
 * by a search around B0 under alpha beta^2 gamma^2 ~ 2, so that each step doubles the arithmetic. The published B1 to B8
 * were adjusted by hand; theirs are the numbers of `efficientNetScales`.
 *
 * ```ts
 * new EfficientNet({ name: 'mine', ...efficientNetShape(compoundScale(0.5)) })
 * ```
 *
 * @param phi steps from B0, from 0, whole or not.
 */
export function compoundScale(phi: number, constants: ScalingConstants = {}): CompoundScale {
  const factors = readOptions('compoundScale', constants, { alpha: 1.2, beta: 1.1, gamma: 1.15 })
  const { alpha, beta, gamma } = factors
  checkNumber('compoundScale', 'phi', phi, 0)
  for (const [name, value] of Object.entries(factors)) checkNumber('compoundScale', name, value, 1)
  const [depth, width, resolution] = [alpha ** phi, beta ** phi, gamma ** phi]
  return { depth, width, resolution, macs: depth * width ** 2 * resolution ** 2 }
}

/** A published network of the family. */
export interface EfficientNetScale {
  /** Factor of the channels of B0. */
  readonly width: number
  /** Factor of the blocks of B0. */
  readonly depth: number
  /** Height and width of the images, in pixels. */
  readonly resolution: number
  /** Dropout in front of the classifier. */
  readonly dropout: number
}

const scale = (width: number, depth: number, resolution: number, dropout: number): EfficientNetScale => ({
  width,
  depth,
  resolution,
  dropout,
})

/** The published scales: the authors' `efficientnet_params`. */
export const efficientNetScales: Readonly<
  Record<'b0' | 'b1' | 'b2' | 'b3' | 'b4' | 'b5' | 'b6' | 'b7' | 'b8' | 'l2', EfficientNetScale>
> = {
  b0: scale(1, 1, 224, 0.2),
  b1: scale(1, 1.1, 240, 0.2),
  b2: scale(1.1, 1.2, 260, 0.3),
  b3: scale(1.2, 1.4, 300, 0.3),
  b4: scale(1.4, 1.8, 380, 0.4),
  b5: scale(1.6, 2.2, 456, 0.4),
  b6: scale(1.8, 2.6, 528, 0.5),
  b7: scale(2, 3.1, 600, 0.5),
  b8: scale(2.2, 3.6, 672, 0.5),
  l2: scale(4.3, 5.3, 800, 0.5),
}

/** Blocks of one width in a row. */
export interface EfficientNetStage {
  readonly block: 'mbconv' | 'fused'
  /** Channels inside as a multiple of the input's. */
  readonly expand: number
  readonly kernel: number
  /** Step of the first block. */
  readonly stride: number
  readonly channels: number
  /** Number of blocks. */
  readonly depth: number
}

/** Channels and blocks of a network. */
export interface EfficientNetShape {
  /** Channels of the first convolution. */
  readonly stem: number
  readonly stages: readonly EfficientNetStage[]
  /** Channels of the last convolution. */
  readonly head: number
}

const mbconv = (
  expand: number,
  kernel: number,
  stride: number,
  channels: number,
  depth: number,
): EfficientNetStage => ({
  block: 'mbconv',
  expand,
  kernel,
  stride,
  channels,
  depth,
})

/** B0: table 1 of the paper. */
const baseline = [
  mbconv(1, 3, 1, 16, 1),
  mbconv(6, 3, 2, 24, 2),
  mbconv(6, 5, 2, 40, 2),
  mbconv(6, 3, 2, 80, 3),
  mbconv(6, 5, 1, 112, 3),
  mbconv(6, 5, 2, 192, 4),
  mbconv(6, 3, 1, 320, 1),
] as const

/** B0 scaled: channels to multiples of 8 (never below 90 %), numbers of blocks rounded up. As the authors' code. */
export function efficientNetShape({ width, depth }: Pick<CompoundScale, 'width' | 'depth'>): EfficientNetShape {
  checkNumber('efficientNetShape', 'width', width, Number.MIN_VALUE)
  checkNumber('efficientNetShape', 'depth', depth, Number.MIN_VALUE)
  return {
    stem: roundChannels(32 * width),
    stages: baseline.map((stage) => ({
      ...stage,
      channels: roundChannels(stage.channels * width),
      depth: Math.ceil(stage.depth * depth),
    })),
    head: roundChannels(1280 * width),
  }
}

/** Stages of EfficientNetV2 by number: fused or not, expand, stride, channels, depth; all windows 3x3. */
export function stagesOf(
  rows: readonly (readonly [EfficientNetStage['block'], number, number, number, number])[],
): EfficientNetStage[] {
  return rows.map(([block, expand, stride, channels, depth]) => ({ block, expand, kernel: 3, stride, channels, depth }))
}

/** Checks a shape, which may be somebody's own, before anything is built of it. */
export function checkShape(name: string, { stem, stages, head }: EfficientNetShape): void {
  checkInteger(name, 'stem', stem, 1)
  checkInteger(name, 'head', head, 1)
  checkInteger(name, 'number of stages', stages.length, 1)
  for (const { depth, channels } of stages) {
    checkInteger(name, 'depth of every stage', depth, 1)
    checkInteger(name, 'channels of every stage', channels, 1)
  }
}
