/** What residual blocks have in common: their options and the way their two paths meet. */
import { BatchNorm2d, convNormAct, type DropPath, init, type Layer } from '@convnets/nn'
import { addRelu, relu, type Tensor } from '@convnets/tensor'
import { projectionShortcut, type Shortcut } from './shortcut.ts'

/** A normalisation with a scale that can be set to zero. */
export type NormLayer = Layer & { weight: Tensor | undefined }

/** A block: a layer that says how many channels go in and come out. */
export interface Block extends Layer {
  readonly inChannels: number
  readonly outChannels: number
}

export interface ResidualOptions {
  /** Step of the block: divides height and width. Default 1. */
  readonly stride?: number
  /** Shortcut where input and output differ in shape. Default: `projectionShortcut`. */
  readonly shortcut?: Shortcut
  /** Makes the normalisations. Default: `BatchNorm2d`. */
  readonly norm?: (channels: number) => NormLayer
  /** Makes a layer at the end of the residual branch, given its channels: squeeze-and-excitation and the like. */
  readonly attention?: (channels: number) => Layer
  /** Key of that layer in checkpoints. Default `attention`. */
  readonly attentionKey?: string
  /** Probability that a sample skips the residual branch in training. Default 0. Huang et al. 2016. */
  readonly dropPath?: number
  /** Starts with the block as its shortcut: the last normalisation scales by 0. Default false. Goyal et al. 2017. */
  readonly zeroInit?: boolean
}

/** Batch norm with PyTorch's defaults. */
export function batchNorm(channels: number): BatchNorm2d {
  return new BatchNorm2d(channels)
}

/** What residual blocks do where their options say nothing. */
export const residualDefaults: Required<Omit<ResidualOptions, 'attention' | 'attentionKey'>> & {
  readonly attention: undefined
  readonly attentionKey: undefined
} = {
  stride: 1,
  shortcut: projectionShortcut,
  norm: batchNorm,
  attention: undefined,
  attentionKey: undefined,
  dropPath: 0,
  zeroInit: false,
}

/** The shortcut of a block, or undefined where the input itself is it. */
export function makeShortcut(
  inChannels: number,
  outChannels: number,
  stride: number,
  shortcut: Shortcut = projectionShortcut,
): Layer | undefined {
  return stride === 1 && inChannels === outChannels ? undefined : shortcut(inChannels, outChannels, stride)
}

/** Makes a normalisation scale by 0. */
export function silence(norm: NormLayer): void {
  if (norm.weight !== undefined) init.constant_(norm.weight, 0)
}

/** What a block has on its two paths besides the convolutions. */
interface Paths {
  readonly attention: Layer | undefined
  readonly dropPath: DropPath
  readonly downsample: Layer | undefined
}

/** relu(dropPath(attention(branch)) + shortcut(x)) */
export function meet(x: Tensor, branch: Tensor, { attention, dropPath, downsample }: Paths): Tensor {
  const gated = attention === undefined ? branch : attention.forward(branch)
  return addRelu(dropPath.forward(gated), downsample === undefined ? x : downsample.forward(x))
}

/** `meet` for a branch that ends with a convolution and its norm: in one op where nothing stands between it and the sum. */
export function meetConv(x: Tensor, y: Tensor, conv: Layer, norm: Layer, paths: Paths): Tensor {
  const { attention, dropPath, downsample } = paths
  if (attention !== undefined || !dropPath.idle) return meet(x, convNormAct(y, conv, norm), paths)
  return convNormAct(y, conv, norm, relu, downsample === undefined ? x : downsample.forward(x))
}

/** Fields of a block by key, with the attention under the key that checkpoints have for it. */
export function withAttentionKey(block: object, key = 'attention'): (readonly [key: string, value: unknown])[] {
  return Object.entries(block).map(([field, value]) => [field === 'attention' ? key : field, value] as const)
}
