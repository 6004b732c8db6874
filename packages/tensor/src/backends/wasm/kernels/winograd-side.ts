/** Which 3 x 3 convolutions gain by Winograd, and with tiles of which side. */
import type { ConvSpec } from '../../backend.ts'
import type { Engine } from '../engine.ts'
import { roundUp } from './tile.ts'
import type { TileSide } from './winograd-transforms.ts'

/**
 * With fewer tiles the weights, which become four times as large, cost more than the products that are saved; in their
 * own gradient, where they are written as well, sooner.
 */
const fewTiles = { products: 4, weightGradient: 16 }

/**
 * Up to as many tiles F(2x2, 3x3), whose weights are less than half as large, is as fast: reading weights takes the time
 * there. On a map of 7 x 7 its tiles also jut out less.
 */
const smallTiles = 4

/** The tiles of a convolution, or of its gradient by the input or by the weights, that gains; undefined if it does not. */
export function winogradSide(
  engine: Engine,
  s: ConvSpec,
  what: keyof typeof fewTiles = 'products',
): TileSide | undefined {
  const tiles = s.batch * Math.ceil(s.outHeight / 4) * Math.ceil(s.outWidth / 4)
  if (
    engine.precision !== 'fast' ||
    s.kernelHeight !== 3 ||
    s.kernelWidth !== 3 ||
    s.strideHeight * s.strideWidth * s.dilationHeight * s.dilationWidth * s.groups !== 1 ||
    !gains(s.inChannels) ||
    !gains(s.outChannels) ||
    !fits(s.outHeight, s.outWidth) ||
    !fits(s.inHeight, s.inWidth) ||
    tiles < fewTiles[what]
  )
    return undefined
  return what === 'products' && tiles <= smallTiles ? 2 : 4
}

/** Fewer channels do not earn back the transforms, which take four at a time. */
function gains(channels: number): boolean {
  return channels >= 16 && channels % 4 === 0
}

/** Whether tiles do not jut out too far. */
function fits(height: number, width: number): boolean {
  return height * width > 0.45 * roundUp(height, 4) * roundUp(width, 4)
}
