// Run by `npm test -- built` in a project that has only the packed packages: it learns a few steps, then classifies.
import { DataLoader, fashionMnist, normalize } from '@convnets/data'
import { resnet20 } from '@convnets/models-modern'
import { crossEntropy } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { argmax, noGrad, tidy } from '@convnets/tensor'

const STEPS = 12
const { train } = await fashionMnist({ subset: 'embedded' })
const loader = new DataLoader(train, { batchSize: 32, shuffle: true, seed: 1, transform: normalize(0.286, 0.353) })
const model = resnet20({ inChannels: 1, numClasses: 10, seed: 1 })
const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9 })

const losses = []
for await (const { input, target } of loader.epoch(0)) {
  tidy(() => {
    optimizer.zeroGrad()
    const loss = crossEntropy(model.forward(input), target)
    loss.backward()
    optimizer.step()
    losses.push(loss.item())
  })
  if (losses.length === STEPS) break
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length
const [early, late] = [mean(losses.slice(0, 3)), mean(losses.slice(-3))]
if (!(late < early)) throw new Error(`The loss should fall within ${STEPS} steps: ${losses.join(', ')}.`)

model.eval()
for await (const { input } of loader.epoch(1)) {
  const labels = tidy(() => noGrad(() => argmax(model.forward(input), { dim: 1 }).dataSync()))
  if (labels.length !== 32) throw new Error(`32 pictures should get 32 labels, got ${labels.length}.`)
  break
}
console.log(`loss ${early.toFixed(2)} -> ${late.toFixed(2)}`)
