// Three papers in one network: ResNeXt's grouped bottlenecks with SENet's gates, and between them DenseNet's transitions.
import { Bottleneck, ConvNormAct, SqueezeExcitation, stage, Transition } from '@convnets/blocks'
import { DataLoader, fashionMnist, normalize } from '@convnets/data'
import { crossEntropy, globalAvgPool2d, Linear, Module, Sequential } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { seeded, type Tensor, tidy } from '@convnets/tensor'

const gated = { groups: 8, attention: (channels: number) => new SqueezeExcitation(channels) }

/** (N, 1, H, W) to (N, 10). No channel is counted here: every block asks the one before. */
class Net extends Module {
  body = new Sequential(
    new ConvNormAct(1, 32, { stride: 2 }),
    stage(Bottleneck, { width: 32, depth: 2, outChannels: 64, ...gated }),
    (channels) => new Transition(channels, { compression: 0.75 }), // normalised, fewer channels, half the size
    stage(Bottleneck, { width: 64, depth: 2, outChannels: 128, ...gated }),
  )
  head = new Linear(this.body.outChannels, 10)
  forward(x: Tensor): Tensor {
    return this.head.forward(globalAvgPool2d(this.body.forward(x)))
  }
}

const [model, { train }] = [seeded(1, () => new Net()), await fashionMnist()]
const loader = new DataLoader(train, { batchSize: 64, shuffle: true, seed: 1, transform: normalize(0.286, 0.353) })
const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9, nesterov: true })
const losses: number[] = []
for (const { input, target } of loader.epoch(0)) {
  tidy(() => {
    optimizer.zeroGrad()
    const loss = crossEntropy(model.forward(input), target)
    loss.backward()
    optimizer.step()
    losses.push(loss.item())
  })
  if (losses.length === 12) break
}
console.log(`${model.parameterCount()} parameters, loss ${losses.map((loss) => loss.toFixed(2)).join(', ')}`)
if (!(Math.min(...losses) < 0.8 * (losses[0] ?? 0))) throw new Error('these steps should have learnt something')
