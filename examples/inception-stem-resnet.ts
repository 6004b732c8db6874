// Inception v4's stem in front of a ResNet: small convolutions and pooling side by side instead of one 7x7.
import { BasicBlock, InceptionStem, stage } from '@convnets/blocks'
import { DataLoader, fashionMnist, normalize } from '@convnets/data'
import { crossEntropy, globalAvgPool2d, Linear, Module, Sequential } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { interpolate, seeded, type Tensor, tidy } from '@convnets/tensor'

/** (N, 1, H, W) to (N, 10). The stem gives 384 maps an eighth as large, the residual blocks halve them once more. */
class Net extends Module {
  body = new Sequential(
    new InceptionStem(1),
    stage(BasicBlock, { width: 64, depth: 2 }),
    stage(BasicBlock, { width: 128, depth: 2, stride: 2 }),
  )
  head = new Linear(this.body.outChannels, 10)

  forward(x: Tensor): Tensor {
    return this.head.forward(globalAvgPool2d(this.body.forward(interpolate(x, [64, 64], { mode: 'bilinear' }))))
  }
}

const model = seeded(1, () => new Net())
const { train } = await fashionMnist()
const loader = new DataLoader(train, { batchSize: 32, shuffle: true, seed: 1, transform: normalize(0.286, 0.353) })
const optimizer = new SGD(model.parameters(), { lr: 0.02, momentum: 0.9 })
const losses: number[] = []
for (const { input, target } of loader.epoch(0)) {
  tidy(() => {
    optimizer.zeroGrad()
    const loss = crossEntropy(model.forward(input), target)
    loss.backward()
    optimizer.step()
    losses.push(loss.item())
  })
  if (losses.length === 8) break
}
console.log(`${model.parameterCount()} parameters, loss ${losses.map((loss) => loss.toFixed(2)).join(', ')}`)
if (!(Math.min(...losses) < 0.8 * (losses[0] ?? 0))) throw new Error('these steps should have learnt something')
