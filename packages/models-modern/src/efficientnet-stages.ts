/** Stages of an EfficientNet, as blocks. */
import { type FeatureInfo, FusedMBConv, type InvertedOptions, MBConv, type MBConvKeys } from '@convnets/blocks'
import { Sequential } from '@convnets/nn'
import type { EfficientNetShape } from './efficientnet-scaling.ts'
import { dropConnectRates, type Norm } from './row-model.ts'

export interface StagesOptions extends Pick<InvertedOptions, 'padding'> {
  readonly norm: Norm
  /** Stochastic depth that the last block stays a step below. */
  readonly dropPath: number
  readonly keys: MBConvKeys
}

/** The stages of `shape`, each a `Sequential` of blocks, and their level if they are named by `name(index)`. */
export function buildStages(
  shape: EfficientNetShape,
  options: StagesOptions,
  name: (index: number) => string,
): { readonly stages: Sequential[]; readonly levels: FeatureInfo[] } {
  const { dropPath, keys, ...shared } = options
  const rates = dropConnectRates(
    dropPath,
    shape.stages.map(({ depth }) => depth),
  )
  let channels = shape.stem
  let stride = 2
  const levels: FeatureInfo[] = []
  const stages = shape.stages.map(({ block, depth, channels: width, stride: first, ...rest }, i) => {
    const blocks = (rates[i] ?? []).slice(0, depth).map((rate, j) => {
      const own = { ...shared, ...rest, stride: j === 0 ? first : 1, dropPath: rate }
      const inChannels = channels
      channels = width
      return block === 'fused'
        ? new FusedMBConv(inChannels, width, own)
        : new MBConv(inChannels, width, { ...own, keys })
    })
    stride *= first
    levels.push({ name: name(i), channels: width, stride })
    return new Sequential(...blocks)
  })
  return { stages, levels }
}
