/** `training.json`: a small network trained by every optimizer setting, and the learning rates of every schedule. */
import { BatchNorm2d, Conv2d, crossEntropy, Linear, Module } from '@convnets/nn'
import {
  Adagrad,
  Adam,
  AdamW,
  cosine,
  cosineRestarts,
  exponential,
  linearWarmup,
  multiStep,
  oneCycle,
  polynomial,
  RMSprop,
  type Schedule,
  SGD,
  step,
} from '@convnets/optim'
import {
  adaptiveAvgPool2d,
  type Backend,
  type DType,
  maxPool2d,
  noGrad,
  relu,
  type Tensor,
  tensor,
  tidy,
} from '@convnets/tensor'
import {
  fill,
  fillModel,
  parseTrainingGoldens,
  relativeError,
  type TrainingGoldens,
  type TrainingRun,
  tolerances,
} from '@convnets/testkit'
import { type Arithmetic, type Case, fail, judge, type Outcome } from './case.ts'

/** conv-bn-relu, residual conv-bn-relu, pool, linear: one of each trainable part, as `TinyNet` of generate.py. */
class TinyNet extends Module {
  conv1: Conv2d = new Conv2d(3, 8, { kernel: 3, padding: 1, bias: false })
  bn1: BatchNorm2d = new BatchNorm2d(8)
  conv2: Conv2d = new Conv2d(8, 8, { kernel: 3, padding: 1, groups: 2, bias: false })
  bn2: BatchNorm2d = new BatchNorm2d(8)
  fc: Linear = new Linear(8, 5)

  forward(x: Tensor): Tensor {
    const first = relu(this.bn1.forward(this.conv1.forward(x)))
    const second = relu(first.add(this.bn2.forward(this.conv2.forward(first))))
    return this.fc.forward(adaptiveAvgPool2d(maxPool2d(second, 2), 1).flatten(1))
  }
}

interface Stepper {
  zeroGrad(): void
  step(): void
  dispose(): void
}

/** The settings of generate.py, by name. */
const optimizers: Readonly<Record<string, (parameters: Tensor[]) => Stepper>> = {
  sgd: (p) => new SGD(p, { lr: 0.1 }),
  sgd_momentum: (p) => new SGD(p, { lr: 0.05, momentum: 0.9, weightDecay: 1e-2 }),
  sgd_nesterov: (p) => new SGD(p, { lr: 0.05, momentum: 0.9, nesterov: true, weightDecay: 1e-4 }),
  sgd_dampening: (p) => new SGD(p, { lr: 0.05, momentum: 0.9, dampening: 0.5 }),
  rmsprop: (p) => new RMSprop(p, { lr: 0.01, alpha: 0.9, eps: 1e-3 }),
  rmsprop_momentum_centered: (p) =>
    new RMSprop(p, { lr: 0.01, alpha: 0.9, eps: 1e-3, momentum: 0.9, centered: true, weightDecay: 1e-3 }),
  adam: (p) => new Adam(p, { lr: 0.01, weightDecay: 1e-2 }),
  adam_amsgrad: (p) => new Adam(p, { lr: 0.01, amsgrad: true }),
  adamw: (p) => new AdamW(p, { lr: 0.01, weightDecay: 0.05 }),
  adagrad: (p) => new Adagrad(p, { lr: 0.05 }),
}

const schedules: Readonly<Record<string, Schedule>> = {
  step: step(3, { gamma: 0.1 }),
  multistep: multiStep([2, 5], { gamma: 0.5 }),
  exponential: exponential(0.97),
  cosine: cosine({ steps: 8, etaMin: 0.01 }),
  cosine_restarts: cosineRestarts(3, { tMult: 2, etaMin: 0.01 }),
  linear_warmup: linearWarmup(4, { startFactor: 0.1 }),
  polynomial: polynomial({ steps: 6, power: 2 }),
  one_cycle: oneCycle({ maxLr: 1, totalSteps: 10 }),
}

async function train(
  golden: TrainingGoldens,
  name: string,
  steps: number,
  backend: Backend,
  dtype: DType,
): Promise<TrainingRun> {
  const make = optimizers[name]
  if (make === undefined) throw new Error(`there is no optimizer setting called ${name}`)
  const net = tidy(() => fillModel(new TinyNet().to(backend).to(dtype), { salt: golden.salt }))
  const optimizer = make(net.parameters())
  const shape = [golden.batch, 3, 10, 10]
  using x = tensor(fill(golden.salt + golden.input, shape), { shape, dtype, backend })
  using target = tensor(golden.target, { dtype: 'int32', backend })
  try {
    const losses: number[] = []
    for (let i = 0; i < steps; i++) {
      using loss = tidy(() => {
        optimizer.zeroGrad()
        const loss = crossEntropy(net.forward(x), target, { labelSmoothing: golden.labelSmoothing })
        loss.backward()
        optimizer.step()
        return noGrad(() => loss.detach())
      })
      losses.push(...(await loss.data()))
    }
    net.eval()
    using logits = tidy(() => noGrad(() => net.forward(x)))
    const numbers = async (t: Tensor | undefined): Promise<number[]> => [...((await t?.data()) ?? [])]
    return {
      losses,
      evalLogits: await numbers(logits),
      fcWeight: await numbers(net.fc.weight),
      bn1RunningVar: await numbers(net.bn1.running_var),
    }
  } finally {
    net.dispose()
    optimizer.dispose()
  }
}

async function compareRun(
  golden: TrainingGoldens,
  name: string,
  run: TrainingRun,
  { backend, dtype, name: on }: Arithmetic,
): Promise<Outcome> {
  if (backend === undefined) return fail(`there is no ${on} backend here`)
  const tolerance = tolerances[dtype === 'float64' ? 'float64' : 'float32'].trainingLoss
  const actual = await train(golden, name, run.losses.length, backend, dtype)
  return judge(
    (['losses', 'evalLogits', 'fcWeight', 'bn1RunningVar'] as const).map((what) => ({
      what,
      error: relativeError(actual[what], run[what]),
      tolerance,
    })),
  )
}

function compareSchedule(name: string, rates: readonly number[]): Outcome {
  const schedule = schedules[name]
  if (schedule === undefined) return fail(`there is no schedule called ${name}`)
  const actual = rates.map((_, i) => schedule(i, { total: rates.length, lr: 1 }).lr)
  return judge([{ what: 'lr', error: relativeError(actual, rates), tolerance: 1e-12 }])
}

/** Runs by optimizer and, with the first arithmetic alone since they are plain numbers, schedules. */
export function trainingCases(text: string, file: string, arithmetic: Arithmetic, withSchedules: boolean): Case[] {
  const golden = parseTrainingGoldens(text, file)
  return [
    ...[...golden.runs].map(([name, run]) => ({ id: name, run: () => compareRun(golden, name, run, arithmetic) })),
    ...(withSchedules ? [...golden.schedules] : []).map(([name, rates]) => ({
      id: `schedule ${name}`,
      run: () => compareSchedule(name, rates),
    })),
  ]
}
