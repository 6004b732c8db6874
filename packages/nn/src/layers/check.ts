/** Checks of constructor arguments that several layers share; each throws a sentence that names layer and argument. */
import { ArgumentError, checkInteger, type Padding, type Pair, pair, ShapeError, type Tensor } from '@convnets/tensor'

/** [height, width] for a layer's description: one number where they are equal. */
export function size(value: Padding): string {
  if (typeof value === 'number' || value === 'same') return String(value)
  return new Set(value).size === 1 ? String(value[0]) : `[${value.join(', ')}]`
}

/** Padding of a convolution: a number, a pair, four numbers or 'same'. */
export function checkPadding(layer: string, padding: Padding): Padding {
  if (padding === 'same') return padding
  if (typeof padding === 'string') {
    throw new ArgumentError(`${layer}: padding expects numbers or 'same', got '${padding as string}'`)
  }
  if (typeof padding === 'number' || padding.length !== 4) return pair(layer, 'padding', padding as Pair, 0)
  for (const cells of padding) checkInteger(layer, 'padding', cells, 0)
  return padding
}

/** A number of groups that divides both channel counts. */
export function checkGroups(
  layer: string,
  groups: number,
  inChannels: number,
  outChannels: number = inChannels,
): number {
  checkInteger(layer, 'groups', groups, 1)
  if (inChannels % groups !== 0 || outChannels % groups !== 0) {
    const channels =
      inChannels === outChannels ? `${inChannels} channels` : `${inChannels} input and ${outChannels} output channels`
    throw new ArgumentError(`${layer}: groups expects a divisor of ${channels}, got ${groups}`)
  }
  return groups
}

/** A truth value. */
export function checkFlag(layer: string, argument: string, value: boolean): boolean {
  if (typeof value !== 'boolean') {
    throw new ArgumentError(`${layer}: ${argument} expects true or false, got ${String(value)}`)
  }
  return value
}

/** An input (N, C, ...) of one of the given ranks with `channels` channels. */
export function checkChannels(layer: string, x: Tensor, ranks: readonly number[], channels: number): void {
  if (!ranks.includes(x.rank) || x.shape[1] !== channels) {
    const shapes = ranks.map((rank) => `(N, ${[channels, 'H', 'W'].slice(0, rank - 1).join(', ')})`)
    const expected = ranks.length === 2 ? `(N, ${channels}) or (N, ${channels}, L)` : shapes.join(' or ')
    throw new ShapeError(`${layer}: x expects ${expected}, got (${x.shape.join(', ')})`)
  }
}
