/**
 * Trains a small network of every kind of layer for 50 steps and prints hashes of its outputs and weights, for several
 * numbers of threads, as it is written and compiled and, where it can be had, with turbo: a line of JSON each. All must be the
 * same, on every Node.
 */
import { createHash } from 'node:crypto'
import {
  AvgPool2d,
  BatchNorm2d,
  Conv2d,
  compile,
  Dropout,
  Flatten,
  GELU,
  GlobalAvgPool2d,
  GroupNorm,
  Linear,
  MaxPool2d,
  ReLU,
  Sequential,
  SiLU,
} from '@convnets/nn'
import { SGD } from '@convnets/optim'
import {
  crossEntropy,
  disableTurbo,
  enableTurbo,
  Generator,
  noGrad,
  randn,
  seeded,
  setThreads,
  type Tensor,
  tensor,
  tidy,
} from '@convnets/tensor'

/** Steps of training. */
const steps = 50
const [batch, size, classes] = [12, 20, 10]

function network(generator: Generator): Sequential {
  return new Sequential(
    new Conv2d(3, 32, { kernel: 3, padding: 1, bias: false }),
    new BatchNorm2d(32),
    new ReLU(),
    // By Winograd's algorithm, forward and backward.
    new Conv2d(32, 48, { kernel: 3, padding: 1 }),
    new GELU(),
    new MaxPool2d(3, { stride: 2, padding: 1 }),
    new Conv2d(48, 48, { kernel: 5, padding: 2, groups: 48 }),
    new SiLU(),
    new Conv2d(48, 72, { kernel: 1 }),
    new GroupNorm(6, 72),
    new Conv2d(72, 96, { kernel: 3, stride: 2, padding: 1, groups: 3 }),
    new ReLU(),
    new Conv2d(96, 64, { kernel: 3, padding: 1, precision: 'strict' }),
    new AvgPool2d(3, { stride: 1, padding: 1 }),
    new GlobalAvgPool2d(),
    new Flatten(),
    new Dropout(0.2, { generator }),
    new Linear(64, classes),
  )
}

function train(compiled: boolean): { outputs: string; weights: string } {
  const model = seeded(1, () => network(new Generator(2)))
  const run = compile(model)
  const forward = (x: Tensor): Tensor => (compiled ? run(x) : model.forward(x))
  const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9, weightDecay: 1e-4 })
  const generator = new Generator(3)
  const outputs = createHash('sha256')
  for (let step = 0; step < steps; step++) {
    tidy(() => {
      const x = randn([batch, 3, size, size], { generator })
      const target = tensor(
        Array.from({ length: batch }, (_, i) => (i * 7 + step) % classes),
        { dtype: 'int32' },
      )
      optimizer.zeroGrad()
      const logits = forward(x)
      crossEntropy(logits, target).backward()
      optimizer.step()
      outputs.update(bytes(logits))
    })
  }
  model.eval()
  noGrad(() => tidy(() => outputs.update(bytes(forward(randn([batch, 3, size, size], { generator }))))))
  const weights = createHash('sha256')
  for (const [name, state] of model.stateDict()) weights.update(name).update(bytes(state))
  run.dispose()
  model.dispose()
  return { outputs: outputs.digest('hex'), weights: weights.digest('hex') }
}

function bytes(x: Tensor): Uint8Array {
  const { buffer, byteOffset, byteLength } = x.dataSync()
  return new Uint8Array(buffer, byteOffset, byteLength)
}

function report(threads: number, turbo: boolean): void {
  setThreads(threads)
  for (const compiled of [false, true]) {
    process.stdout.write(`${JSON.stringify({ threads, turbo, compiled, ...train(compiled) })}\n`)
  }
}

const counts = [1, 2, 3, 7]
for (const threads of counts) report(threads, false)
const result = enableTurbo()
if (result.enabled) {
  for (const threads of counts) report(threads, true)
  disableTurbo()
  report(2, false)
} else {
  process.stdout.write(`${JSON.stringify({ refused: result.message })}\n`)
}
