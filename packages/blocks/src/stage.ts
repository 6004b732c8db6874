/** Blocks of one width in a row. */
import { Sequential } from '@convnets/nn'
import { ArgumentError, checkInteger, checkOptionsObject } from '@convnets/tensor'
import type { Block } from './residual.ts'

/** A class of blocks: `BasicBlock`, `Bottleneck`, or one of your own. */
export type BlockClass<Options> = new (inChannels: number, width: number, options?: Options) => Block

export interface StageShape {
  /** Width of every block. */
  readonly width: number
  /** Number of blocks. */
  readonly depth: number
  /** Step of the first block; the others have 1. Default 1. */
  readonly stride?: number
  /** Probability of dropping the residual branch: one for all blocks, or one each. */
  readonly dropPath?: number | readonly number[]
}

/** What a stage asks for: its shape and whatever options its blocks have. */
export type StageOptions<Options> = StageShape & Omit<Options, 'stride' | 'dropPath'>

function make<Options>(Block: BlockClass<Options>, inChannels: number, options: StageOptions<Options>): Sequential {
  const { width, depth, stride = 1, dropPath = 0, ...rest } = options
  checkInteger('stage', 'depth', depth, 1)
  if (typeof dropPath !== 'number' && dropPath.length !== depth) {
    throw new ArgumentError(
      `stage: dropPath expects ${depth} probabilities, one for each block, got ${dropPath.length}`,
    )
  }
  const blocks: Block[] = []
  for (let i = 0; i < depth; i++) {
    const p = typeof dropPath === 'number' ? dropPath : dropPath[i]
    const own = { ...rest, stride: i === 0 ? stride : 1, ...(p === 0 ? {} : { dropPath: p }) }
    blocks.push(new Block(blocks.at(-1)?.outChannels ?? inChannels, width, own as Options))
  }
  return new Sequential(...blocks)
}

/**
 * `depth` blocks of one width, the first with the stride.
 *
 *     x -- Block / stride -- Block -- ... -- Block -- y
 *
 * (N, inChannels, H, W) to (N, outChannels of the block, ceil(H / stride), ceil(W / stride)). Without `inChannels` the
 * stage is a function of them, which `Sequential` calls with the channels of the stage before:
 *
 * ```ts
 * new Sequential(
 *   stage(Bottleneck, { inChannels: 64, width: 64, depth: 3 }),
 *   stage(Bottleneck, { width: 128, depth: 4, stride: 2 }),
 * )
 * ```
 */
export function stage<Options>(
  Block: BlockClass<Options>,
  options: StageOptions<Options> & { readonly inChannels: number },
): Sequential
export function stage<Options>(
  Block: BlockClass<Options>,
  options: StageOptions<Options> & { readonly inChannels?: undefined },
): (inChannels: number) => Sequential
export function stage<Options>(
  Block: BlockClass<Options>,
  options: StageOptions<Options> & { readonly inChannels?: number | undefined },
): Sequential | ((inChannels: number) => Sequential) {
  // Which names there are, the blocks know.
  checkOptionsObject('stage', options)
  const { inChannels, ...rest } = options
  const build = (channels: number): Sequential => make(Block, channels, rest as unknown as StageOptions<Options>)
  return inChannels === undefined ? build : build(inChannels)
}

/**
 * Probabilities of stochastic depth that rise linearly from 0 at the first block to `last` at the last one, by stage.
 * Huang et al. 2016, section 3, with the first block at 0 as in timm.
 */
export function dropPathRates(last: number, depths: readonly number[]): number[][] {
  const blocks = depths.reduce((sum, depth) => sum + depth, 0)
  let i = 0
  return depths.map((depth) => Array.from({ length: depth }, () => (blocks === 1 ? last : (last * i++) / (blocks - 1))))
}
