// The training loop in one's own hands: what `fit` of @convnets/train does for you, without it.
import { compose, DataLoader, fashionMnist, normalize, randomHorizontalFlip } from '@convnets/data'
import { resnet20 } from '@convnets/models-modern'
import { crossEntropy } from '@convnets/nn'
import { oneCycle, SGD } from '@convnets/optim'
import { argmax, noGrad, tidy } from '@convnets/tensor'

const STEPS = 60

const data = await fashionMnist() // 6,000 training and 1,000 test pictures that come with the package
const standard = normalize(0.286, 0.353)
const train = new DataLoader(data.train, {
  batchSize: 64,
  shuffle: true,
  seed: 1,
  transform: compose(randomHorizontalFlip(), standard),
})
const test = new DataLoader(data.test, { batchSize: 250, transform: standard })

const model = resnet20({ inChannels: 1, numClasses: 10, seed: 1 })
const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9, weightDecay: 5e-4 })
const schedule = oneCycle({ maxLr: 0.05 })

let step = 0
for (const { input, target } of train.epoch(0)) {
  // Whatever is made inside tidy is freed at its end; parameters and the optimizer's state outlive it.
  const loss = tidy(() => {
    optimizer.applySchedule(schedule, step, STEPS)
    optimizer.zeroGrad()
    const loss = crossEntropy(model.forward(input), target)
    loss.backward()
    optimizer.step()
    return loss.item()
  })
  input.dispose()
  target.dispose()
  step++
  if (step % 10 === 0) console.log(`step ${step} of ${STEPS}: loss ${loss.toFixed(3)}`)
  if (step === STEPS) break
}

model.eval()
let right = 0
for (const { input, target } of test.epoch(0)) {
  right += tidy(() => noGrad(() => argmax(model.forward(input), { dim: 1 }).eq(target).to('int32').sum().item()))
  input.dispose()
  target.dispose()
}
console.log(`${right} of ${data.test.length} test pictures are right after ${STEPS} steps`)
if (right < 0.5 * data.test.length) throw new Error('The network should have learned more than that.')
