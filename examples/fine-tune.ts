// Fine-tuning: weights of ten classes, loaded into a network for two, of which only the new head is trained.
import { rm } from 'node:fs/promises'
import { DataLoader, fashionMnist, mapDataset, normalize } from '@convnets/data'
import { resnet20 } from '@convnets/models-modern'
import { crossEntropy } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { tidy } from '@convnets/tensor'
import { loadWeights, saveWeights } from '@convnets/weights'

const { train } = await fashionMnist()
const options = { batchSize: 64, shuffle: true, seed: 1, transform: normalize(0.286, 0.353) }

/** Trains what is not frozen for `steps` steps and gives the last loss. */
function learn(model: ReturnType<typeof resnet20>, loader: DataLoader, steps: number): number {
  const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9 })
  let last = Number.NaN
  for (const { input, target } of loader.epoch(0)) {
    last = tidy(() => {
      optimizer.zeroGrad()
      const loss = crossEntropy(model.forward(input), target)
      loss.backward()
      optimizer.step()
      return loss.item()
    })
    if (--steps === 0) break
  }
  return last
}

// A network that tells ten kinds of clothes apart, a little, and its weights on disk.
const teacher = resnet20({ inChannels: 1, numClasses: 10, seed: 1 })
console.log(`ten classes: loss ${learn(teacher, new DataLoader(train, options), 30).toFixed(2)}`)
await saveWeights(teacher, 'ten-classes.safetensors')

// Same body, other head: everything must fit but the classifier, which is left alone and reported.
const model = resnet20({ inChannels: 1, numClasses: 2, seed: 2 })
const { mismatched } = await loadWeights(model, 'ten-classes.safetensors', { allowClassifierMismatch: true })
console.log('not loaded:', mismatched.map(({ key, expected, got }) => `${key} (${expected}) from (${got})`).join(', '))
await rm('ten-classes.safetensors')

// Footwear (sandals, sneakers, ankle boots) or not? The body stays as it is; only the head has gradients.
const shoes = mapDataset(train, ({ image, label }) => ({ image, label: [5, 7, 9].includes(label) ? 1 : 0 }))
model.freeze().unfreeze('linear')
console.log(`two classes: loss ${learn(model, new DataLoader(shoes, options), 30).toFixed(2)}`)
