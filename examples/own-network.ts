// A network of your own from the papers' blocks: a ResNet with grouped bottlenecks (ResNeXt) and channel attention (SENet).
import { Bottleneck, ConvNormAct, stage } from '@convnets/blocks'
import { DataLoader, fashionMnist, normalize } from '@convnets/data'
import { crossEntropy, globalAvgPool2d, Linear, Module, Sequential } from '@convnets/nn'
import { AdamW } from '@convnets/optim'
import { relu, seeded, sigmoid, type Tensor, tidy } from '@convnets/tensor'

/** Squeeze and excitation: every channel is scaled by what all channels together say (Hu et al., 2018, figure 3). */
class SqueezeExcite extends Module {
  fc1: Linear
  fc2: Linear

  constructor(channels: number) {
    super()
    this.fc1 = new Linear(channels, channels / 8)
    this.fc2 = new Linear(channels / 8, channels)
  }

  forward(x: Tensor): Tensor {
    const gate = sigmoid(this.fc2.forward(relu(this.fc1.forward(globalAvgPool2d(x)))))
    return x.mul(gate.reshape([...gate.shape, 1, 1]))
  }
}

/** (N, 1, H, W) to (N, 10). Fields name the checkpoint's keys: `stem.conv.weight`, `body.0.0.conv1.weight`, ... */
class Net extends Module {
  stem = new ConvNormAct(1, 16, { stride: 2 })
  body = new Sequential(
    stage(Bottleneck, { inChannels: 16, width: 16, depth: 2, groups: 4, attention: (n) => new SqueezeExcite(n) }),
    stage(Bottleneck, { width: 32, depth: 2, stride: 2, groups: 4, attention: (n) => new SqueezeExcite(n) }),
  )
  head = new Linear(this.body.outChannels, 10)

  forward(x: Tensor): Tensor {
    return this.head.forward(globalAvgPool2d(this.body.forward(this.stem.forward(x))))
  }
}

const model = seeded(1, () => new Net())
console.log(`${model.parameterCount()} parameters, first keys ${[...model.stateDict().keys()].slice(0, 3).join(', ')}`)

const { train } = await fashionMnist()
const loader = new DataLoader(train, { batchSize: 64, shuffle: true, seed: 1, transform: normalize(0.286, 0.353) })
const optimizer = new AdamW(model.parameters(), { lr: 3e-3 })
const losses: number[] = []
for (const { input, target } of loader.epoch(0)) {
  tidy(() => {
    optimizer.zeroGrad()
    const loss = crossEntropy(model.forward(input), target)
    loss.backward()
    optimizer.step()
    losses.push(loss.item())
  })
}
console.log(`loss ${losses[0]?.toFixed(2)} at first, ${losses.at(-1)?.toFixed(2)} after ${losses.length} steps`)
