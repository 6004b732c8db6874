/** `models/*.json`: structure, cost, logits and one training step of a network whose weights follow the fill rule. */
import { classic, findModel, headLoss, type ImageOutput, mainLogits } from '@convnets/models-classic'
import { modern } from '@convnets/models-modern'
import { Conv2d, crossEntropy, Dropout, Dropout2d, DropPath, Linear, type Module } from '@convnets/nn'
import { defaultBackend, noGrad, setDefaultBackend, Tensor, tensor, tidy, zeros } from '@convnets/tensor'
import {
  type FilledInput,
  fill,
  fillModel,
  hollow,
  type ModelGolden,
  modelTolerances,
  parseModelGolden,
  relativeError,
  type TensorStatistics,
  type TrainingStepGolden,
} from '@convnets/testkit'
import { type Arithmetic, type Case, fail, judge, type Outcome } from './case.ts'

type Network = Module & { forward(x: Tensor): ImageOutput }

function build(name: string, { backend, dtype }: Arithmetic): Network {
  if (backend === undefined) throw new Error('this backend does not run here')
  return findModel<ImageOutput>(name, { from: [classic, modern] })()
    .to(backend)
    .to(dtype)
}

function input({ name, shape }: FilledInput, salt: string, { backend, dtype }: Arithmetic): Tensor {
  return tensor(fill(salt + name, shape), { shape, dtype, ...(backend && { backend }) })
}

/** Runs `fn` with hooks on some modules, which are taken off afterwards. */
function hooked<T>(modules: Iterable<Module>, hook: (module: Module, output: unknown) => void, fn: () => T): T {
  const removals = [...modules].map((module) => module.registerForwardHook((m, _, output) => hook(m, output)))
  try {
    return fn()
  } finally {
    for (const remove of removals) remove()
  }
}

function compareState(golden: ModelGolden, model: Network): Outcome {
  const keys = (entries: Iterable<readonly [string, readonly number[]]>): string[] =>
    [...entries].map(([key, shape]) => `${key} (${shape.join(', ')})`)
  const expected = keys(golden.state)
  const actual = keys([...model.stateDict()].map(([key, { shape }]) => [key, shape] as const))
  const at = expected.findIndex((entry, i) => entry !== actual[i])
  if (at >= 0) return fail(`entry ${at} of the state dict should be ${expected[at]}, is ${actual[at] ?? 'missing'}`)
  if (actual.length > expected.length) return fail(`the state dict has ${actual[expected.length]}, which is unexpected`)
  if (model.parameterCount() !== golden.parameters) {
    return fail(`${golden.parameters} parameters expected, got ${model.parameterCount()}`)
  }
  return judge([{ what: `${golden.parameters} parameters`, error: 0, tolerance: 0 }])
}

/**
 * Multiply-accumulates of convolutions and linear layers for one image, by the layers' formulas and the shapes of their
 * outputs. Nothing is computed: at native size the largest networks would take minutes.
 */
function countMacs(name: string, size: number): number {
  const former = defaultBackend()
  setDefaultBackend(hollow)
  try {
    return macsOf(
      build(name, { name: 'reference', backend: hollow, dtype: 'float32', precision: 'strict' }).eval(),
      size,
    )
  } finally {
    setDefaultBackend(former)
  }
}

function macsOf(model: Network, size: number): number {
  let macs = 0
  const layers = [...model.namedModules().values()].filter((m) => m instanceof Conv2d || m instanceof Linear)
  const count = (module: Module, output: unknown): void => {
    const perOutput = module instanceof Conv2d ? module.weight.size / module.outChannels : (module as Linear).inFeatures
    macs += (output as Tensor).size * perOutput
  }
  tidy(() => hooked(layers, count, () => noGrad(() => void model.forward(zeros([1, 3, size, size])))))
  return macs
}

/** How far the statistics of an output are from the golden ones, relative to its largest value. */
function distance(values: ArrayLike<number>, { mean, std, absmax, first }: TensorStatistics): number {
  const list = Array.from(values)
  const actualMean = list.reduce((sum, v) => sum + v, 0) / list.length
  const actualStd = Math.sqrt(list.reduce((sum, v) => sum + (v - actualMean) ** 2, 0) / list.length)
  const apart = [actualMean - mean, actualStd - std, ...first.map((v, i) => (list[i] ?? Number.NaN) - v)]
  return Math.max(...apart.map(Math.abs)) / absmax
}

async function compareLogits(golden: ModelGolden, model: Network, arithmetic: Arithmetic): Promise<Outcome> {
  const { logits: tolerance } = modelTolerances({ logits: golden.float32Error }, arithmetic.precision)
  const children = new Map([...model.namedChildren()].map(([name, child]) => [child, name]))
  const deviations: string[] = []
  const compare = (name: string, expected: TensorStatistics, values: ArrayLike<number>): void => {
    const error = distance(values, expected)
    if (!(error <= tolerance)) deviations.push(`${name} ${error.toExponential(1)}`)
  }
  const later: { readonly name: string; readonly expected: TensorStatistics; readonly output: Tensor }[] = []
  const watch = (module: Module, output: unknown): void => {
    const name = children.get(module) ?? ''
    const expected = golden.children.get(name)
    if (expected === undefined || !(output instanceof Tensor)) return
    // A device is read later, when the network may have freed the tensor; on the host the largest networks leave no room to keep it.
    if (arithmetic.name === 'gpu') later.push({ name, expected, output: output.detach().keep() })
    else compare(name, expected, output.dataSync())
  }
  try {
    using y = tidy(() => {
      const x = input(golden.input, golden.salt, arithmetic)
      return mainLogits(hooked(children.keys(), watch, () => noGrad(() => model.forward(x))))
    })
    for (const { name, expected, output } of later) compare(name, expected, await output.data())
    if (String(y.shape) !== String(golden.output.shape)) {
      return fail(`logits of shape (${golden.output.shape.join(', ')}) expected, got (${y.shape.join(', ')})`)
    }
    const values = await y.data()
    const sampled = golden.output.values.map((_, i) => values[i * golden.output.stride] ?? Number.NaN)
    // Relative to the largest logit of all, of which the sampled ones are a part.
    const largest = Math.max(...golden.output.values.map(Math.abs))
    const error = (relativeError(sampled, golden.output.values) * largest) / golden.output.absmax
    using best = y.argmax({ dim: 1 })
    const argmax = Array.from(await best.data())
    if (String(argmax) !== String(golden.output.argmax)) {
      return fail(`classes ${golden.output.argmax} expected, got ${argmax}; logits ${error.toExponential(1)}`)
    }
    const statistics = distance(values, golden.output)
    const outcome = judge([
      { what: 'logits', error, tolerance },
      { what: 'statistics', error: statistics, tolerance },
    ])
    return outcome.passed || deviations.length === 0
      ? outcome
      : { ...outcome, text: `${outcome.text}; first deviation at ${deviations[0]}` }
  } finally {
    for (const { output } of later) output.dispose()
  }
}

function euclidean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += (values[i] as number) ** 2
  return Math.sqrt(sum)
}

async function compareStep(
  golden: ModelGolden,
  step: TrainingStepGolden,
  model: Network,
  arithmetic: Arithmetic,
): Promise<Outcome> {
  model.train()
  for (const module of model.namedModules().values()) {
    if (module instanceof Dropout || module instanceof Dropout2d || module instanceof DropPath) module.eval()
  }
  model.zeroGrad()
  using total = tidy(() => {
    const x = input(step.input, golden.salt, arithmetic)
    const target = tensor(step.target, { dtype: 'int32', ...(arithmetic.backend && { backend: arithmetic.backend }) })
    const { labelSmoothing, auxWeight } = step
    const ofHead = (logits: Tensor): Tensor => crossEntropy(logits, target, { labelSmoothing })
    const total = headLoss(model.forward(x), ofHead, auxWeight === undefined ? {} : { auxWeight })
    total.backward()
    return total.detach()
  })
  const [loss = Number.NaN] = await total.data()
  const parameters = model.namedParameters()
  const errors: number[] = []
  for (const [key, expected] of step.gradNorm) {
    const g = parameters.get(key)?.grad
    if (g === undefined) return fail(`parameter ${key} should have a gradient, has none`)
    if (expected > step.gradNormFloor) errors.push(Math.abs(euclidean(await g.data()) - expected) / expected)
  }
  const without = [...parameters].find(([key, p]) => p.grad !== undefined && !step.gradNorm.has(key))
  if (without !== undefined) return fail(`parameter ${without[0]} has a gradient, should have none`)
  errors.sort((a, b) => a - b)
  const buffers = model.namedBuffers()
  const sums: number[] = []
  for (const [key, expected] of step.runningVarSum) {
    const actual = (await buffers.get(key)?.data()) ?? []
    sums.push(Math.abs(Array.from(actual).reduce((sum, v) => sum + v, 0) - expected) / expected)
  }
  const limits = modelTolerances({ logits: golden.float32Error, ...step.float32Error }, arithmetic.precision)
  return judge([
    { what: 'loss', error: Math.abs(loss - step.loss) / step.loss, tolerance: limits.loss },
    { what: 'worst gradient norm', error: errors.at(-1) ?? 0, tolerance: limits.gradNormWorst },
    { what: 'median', error: errors[errors.length >> 1] ?? 0, tolerance: limits.gradNormMedian },
    { what: 'running variances', error: Math.max(0, ...sums), tolerance: limits.gradNormMedian },
  ])
}

/** The model is built for the first case that needs it, and serves all. */
export function modelCases(text: string, file: string, arithmetic: Arithmetic): Case[] {
  const golden = parseModelGolden(text, file)
  const { name, salt, normScale, training } = golden
  let model: Network | undefined
  const built = (): Network => {
    model ??= build(name, arithmetic)
    return model
  }
  // Running statistics move in training: every case that computes starts from the rule.
  const filled = (): Network => fillModel(built(), { salt, normScale })
  const parts: [string, () => Outcome | Promise<Outcome>][] = [
    ['state', () => compareState(golden, built())],
    [
      'macs',
      () => {
        const macs = countMacs(name, golden.nativeSize)
        return macs === golden.macs
          ? judge([{ what: `${golden.macs} MACs`, error: 0, tolerance: 0 }])
          : fail(`${golden.macs} MACs expected, got ${macs}`)
      },
    ],
    ['logits', () => compareLogits(golden, filled().eval(), arithmetic)],
  ]
  if (training !== undefined) {
    parts.push(['training step', () => compareStep(golden, training, filled(), arithmetic)])
  }
  const close = (): void => {
    model?.dispose()
    model = undefined
  }
  return parts.map(([part, run]) => ({ id: `${name} ${part}`, run, close }))
}
