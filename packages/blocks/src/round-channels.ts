/** Channel counts of scaled networks. */
import { checkInteger, checkNumber } from '@convnets/tensor'

/**
 * The multiple of `divisor` (8) nearest to `channels`, but not below 90 % of it: `_make_divisible` of MobileNet, and
 * `round_filters` of EfficientNet.
 */
export function roundChannels(channels: number, divisor: number = 8): number {
  checkNumber('roundChannels', 'channels', channels, Number.MIN_VALUE)
  checkInteger('roundChannels', 'divisor', divisor, 1)
  const nearest = Math.max(divisor, Math.floor((channels + divisor / 2) / divisor) * divisor)
  return nearest < 0.9 * channels ? nearest + divisor : nearest
}
