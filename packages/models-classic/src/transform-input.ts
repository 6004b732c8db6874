/** From one normalisation of images to another. */
import { type Tensor, tensor } from '@convnets/tensor'

const mean = [0.485, 0.456, 0.406]
const std = [0.229, 0.224, 0.225]

/** Images (N, 3, H, W) normalised by ImageNet's statistics to images normalised by mean 0.5 and deviation 0.5. */
export function fromImagenetStatistics(x: Tensor): Tensor {
  const perChannel = (values: number[]): Tensor =>
    tensor(values, { dtype: x.dtype, backend: x.backend }).reshape([1, 3, 1, 1])
  const scale = perChannel(std.map((deviation) => deviation / 0.5))
  const shift = perChannel(mean.map((centre) => (centre - 0.5) / 0.5))
  return x.mul(scale).add(shift)
}
