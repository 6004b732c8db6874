/** Small networks for tests. */
import {
  BatchNorm2d,
  Conv2d,
  crossEntropy,
  Dropout,
  globalAvgPool2d,
  Linear,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
  Sigmoid,
} from '@convnets/nn'
import { seeded, type Tensor, zeros } from '@convnets/tensor'

/** A residual block with a gate. */
class Block extends Module {
  conv1: Conv2d
  bn1: BatchNorm2d
  relu: ReLU = new ReLU()
  conv2: Conv2d
  gate: Sequential
  constructor(channels: number) {
    super()
    this.conv1 = new Conv2d(channels, channels, { kernel: 3, padding: 1, bias: false })
    this.bn1 = new BatchNorm2d(channels)
    this.conv2 = new Conv2d(channels, channels, { kernel: 3, padding: 1, groups: channels })
    this.gate = new Sequential(new Conv2d(channels, channels, { kernel: 1 }), new Sigmoid())
  }
  forward(x: Tensor): Tensor {
    const y = this.conv2.forward(this.relu.forward(this.bn1.forward(this.conv1.forward(x))))
    return y.mul(this.gate.forward(y)).add(x)
  }
}

/** Images (N, 3, H, W) to (N, 10). */
export class Net extends Module {
  stem: Conv2d = new Conv2d(3, 16, { kernel: 7, stride: 2, padding: 3, bias: false })
  pool: MaxPool2d = new MaxPool2d(3, { stride: 2, padding: 1 })
  blocks: Sequential = new Sequential(new Block(16), new Block(16))
  drop: Dropout = new Dropout(0.2)
  fc: Linear = new Linear(16, 10)
  forward(x: Tensor): Tensor {
    const y = this.blocks.forward(this.pool.forward(this.stem.forward(x)))
    return this.fc.forward(this.drop.forward(globalAvgPool2d(y)))
  }
}

export const net = (): Net => seeded(1, () => new Net())

/** Cross-entropy with class 0. */
export function lossOf(model: { forward(x: Tensor): Tensor }, x: Tensor): Tensor {
  return crossEntropy(model.forward(x), zeros([x.shape[0] as number], { dtype: 'int32' }))
}
