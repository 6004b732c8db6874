/** How layers begin unless told otherwise. */
import type { Tensor } from '@convnets/tensor'
import { fans, kaimingUniform_, uniform_ } from './init.ts'

/**
 * PyTorch's default for linear layers and convolutions: weight and bias uniform in +- 1 / sqrt(fanIn). (Its source says
 * kaiming_uniform with slope sqrt(5), which is the same.)
 */
export function defaultInit(weight: Tensor, bias: Tensor | undefined): void {
  kaimingUniform_(weight, { slope: Math.sqrt(5) })
  if (bias === undefined) return
  const { fanIn } = fans(weight)
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0
  uniform_(bias, -bound, bound)
}
