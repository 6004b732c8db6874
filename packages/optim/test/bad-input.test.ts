/** Every refusal by its message. */
import {
  Adagrad,
  Adam,
  AdamW,
  byEpoch,
  clipGradNorm,
  clipGradValue,
  cosine,
  cosineRestarts,
  EMA,
  exponential,
  linearWarmup,
  multiStep,
  type OptimizerState,
  oneCycle,
  polynomial,
  RMSprop,
  RMSpropTF,
  SGD,
  step,
  withWarmup,
} from '@convnets/optim'
import { ArgumentError, ConvnetsError, reference, type Tensor, tensor } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'

const p = (): Tensor => tensor(Float64Array.of(1, 2), { backend: reference, requiresGrad: true })
const nan = Number.NaN
const wrong = (value: unknown): never => value as never

function refuses(name: string, fn: () => unknown, message: string): void {
  test(name, () => {
    let caught: unknown
    try {
      fn()
    } catch (error) {
      caught = error
    }
    expect(caught).toBeInstanceOf(ConvnetsError)
    expect((caught as Error).message).toBe(message)
  })
}

describe('hyperparameters', () => {
  const atLeast0 = 'expects a number from 0, got'
  const pair = 'expects two numbers from 0 to below 1, got'
  refuses('negative lr', () => new SGD([p()], { lr: -1 }), `SGD: lr ${atLeast0} -1`)
  refuses('lr that is no number', () => new SGD([p()], { lr: wrong('0.1') }), `SGD: lr ${atLeast0} '0.1'`)
  refuses('infinite lr', () => new SGD([p()], { lr: Infinity }), `SGD: lr ${atLeast0} Infinity`)
  refuses('negative momentum', () => new SGD([p()], { momentum: -0.1 }), `SGD: momentum ${atLeast0} -0.1`)
  refuses('negative weight decay', () => new SGD([p()], { weightDecay: -1 }), `SGD: weightDecay ${atLeast0} -1`)
  refuses('dampening NaN', () => new SGD([p()], { dampening: nan }), `SGD: dampening ${atLeast0} NaN`)
  refuses(
    'nesterov with dampening',
    () => new SGD([p()], { momentum: 0.9, dampening: 0.1, nesterov: true }),
    'SGD: nesterov expects momentum above 0 and dampening 0, got [0.9, 0.1]',
  )
  refuses(
    'nesterov without momentum',
    () => new SGD([p()], { nesterov: true }),
    'SGD: nesterov expects momentum above 0 and dampening 0, got [0, 0]',
  )
  refuses(
    'a switch that is none',
    () => new SGD([p()], { nesterov: wrong(1) }),
    'SGD: nesterov expects true or false, got 1',
  )
  refuses('RMSprop alpha', () => new RMSprop([p()], { alpha: -1 }), `RMSprop: alpha ${atLeast0} -1`)
  refuses('RMSprop eps', () => new RMSprop([p()], { eps: -1 }), `RMSprop: eps ${atLeast0} -1`)
  refuses('RMSpropTF names itself', () => new RMSpropTF([p()], { momentum: -1 }), `RMSpropTF: momentum ${atLeast0} -1`)
  refuses(
    'RMSprop centered',
    () => new RMSprop([p()], { centered: wrong('yes') }),
    "RMSprop: centered expects true or false, got 'yes'",
  )
  refuses('Adam beta 1', () => new Adam([p()], { betas: [1, 0.9] }), `Adam: betas ${pair} [1, 0.9]`)
  refuses('Adam beta 2', () => new Adam([p()], { betas: [0.9, -1] }), `Adam: betas ${pair} [0.9, -1]`)
  refuses('Adam betas', () => new Adam([p()], { betas: wrong(0.9) }), `Adam: betas ${pair} 0.9`)
  refuses(
    'Adam three betas',
    () => new Adam([p()], { betas: wrong([0.9, 0.9, 0.9]) }),
    `Adam: betas ${pair} [0.9, 0.9, 0.9]`,
  )
  refuses('AdamW names itself', () => new AdamW([p()], { eps: -1 }), `AdamW: eps ${atLeast0} -1`)
  refuses('Adagrad lrDecay', () => new Adagrad([p()], { lrDecay: -1 }), `Adagrad: lrDecay ${atLeast0} -1`)
  refuses(
    'Adagrad accumulator',
    () => new Adagrad([p()], { initialAccumulatorValue: -1 }),
    `Adagrad: initialAccumulatorValue ${atLeast0} -1`,
  )
  refuses(
    'an unknown option',
    () => new SGD([p()], wrong({ weight_decay: 1 })),
    'SGD: options expects one of lr, momentum, dampening, weightDecay, nesterov, got weight_decay (did you mean weightDecay?)',
  )
  refuses('in a group', () => new SGD([{ parameters: [p()], lr: -2 }]), `SGD: lr ${atLeast0} -2`)
})

describe('parameters', () => {
  const none = 'expects parameters, got []'
  refuses('none', () => new SGD([]), `SGD: group 0 ${none}`)
  refuses('an empty group', () => new SGD([{ parameters: [p()] }, { parameters: [] }]), `SGD: group 1 ${none}`)
  refuses(
    'a model in their place',
    () => new SGD(wrong({})),
    'SGD: parameters expects tensors, pairs or groups, got [object Object]',
  )
  refuses(
    'groups among tensors',
    () => new SGD(wrong([{ parameters: [p()] }, p()])),
    'SGD: group 1 expects { parameters }, got undefined',
  )
  refuses('no tensor', () => new SGD(wrong([3])), 'SGD: parameter 0 expects a float leaf, got 3')
  const twice = p()
  refuses(
    'one listed twice',
    () => new SGD([twice, p(), twice]),
    "SGD: parameters expects each of them once, got '2 again'",
  )
  refuses(
    'one in two groups',
    () => new SGD([{ parameters: [twice] }, { parameters: [['w', twice]] }]),
    "SGD: parameters expects each of them once, got 'w again'",
  )
  refuses(
    'one name for two',
    () =>
      new SGD([
        ['w', p()],
        ['w', p()],
      ]),
    "SGD: parameters expects each of them once, got 'w again'",
  )
  test('integers, results and freed tensors', () => {
    const integers = tensor([1, 2], { dtype: 'int32', backend: reference })
    expect(() => new SGD([integers])).toThrow(/^SGD: parameter 0 expects a float leaf, got Tensor #\d+ \(2\) int32$/)
    expect(() => new SGD([p().mul(2)])).toThrow(
      /^SGD: parameter 0 expects a float leaf, got Tensor #\d+ \(2\) float64 made by/,
    )
    const freed = p()
    freed.dispose()
    expect(() => new SGD([freed])).toThrow(/^SGD: parameter 0 expects a float leaf, got Tensor #\d+ \(freed\)$/)
  })
})

describe('state dicts', () => {
  const stepped = (): SGD => {
    const parameter = p()
    const optimizer = new SGD([parameter], { momentum: 0.9 })
    parameter.grad = tensor(Float64Array.of(1, 1), { backend: reference })
    optimizer.step()
    return optimizer
  }
  const state = stepped().stateDict()
  const group = state.groups[0] as OptimizerState['groups'][number]
  const parameter = state.parameters[0] as OptimizerState['parameters'][number]
  const load = (change: object) => () => {
    const optimizer = stepped()
    const before = JSON.stringify(optimizer.stateDict())
    const value = () => Array.from(optimizer.stateDict().tensors.get('0.momentum')?.dataSync() ?? [])
    const momentum = value()
    try {
      optimizer.loadStateDict({ ...state, ...change })
    } finally {
      expect(JSON.stringify(optimizer.stateDict())).toBe(before)
      expect(value()).toEqual(momentum)
    }
  }
  const who = 'SGD.loadStateDict:'
  refuses('null', () => stepped().loadStateDict(wrong(null)), `${who} state expects that of SGD, got undefined`)
  refuses(
    "another optimizer's",
    () => stepped().loadStateDict(new Adam([p()]).stateDict()),
    `${who} state expects that of SGD, got 'Adam'`,
  )
  refuses(
    'too many groups',
    load({ groups: [group, group] }),
    `${who} numbers of groups and parameters expects 1,1, got [2, 1]`,
  )
  refuses(
    'too few parameters',
    load({ parameters: [] }),
    `${who} numbers of groups and parameters expects 1,1, got [1, 0]`,
  )
  refuses(
    'another name',
    load({ parameters: [{ ...parameter, name: 'w' }] }),
    `${who} parameter 0 expects 0, in its group, got 'w'`,
  )
  refuses(
    'another group',
    load({ parameters: [{ ...parameter, group: 1 }] }),
    `${who} parameter 0 expects 0, in its group, got '0'`,
  )
  refuses(
    'steps below 0',
    load({ parameters: [{ ...parameter, steps: -1 }] }),
    `${who} steps expects an integer from 0, got -1`,
  )
  refuses('a tensor too few', load({ tensors: new Map() }), `${who} 0.momentum expects (2) float64, got none`)
  refuses(
    'a tensor of another shape',
    load({ tensors: new Map([['0.momentum', tensor(Float64Array.of(1, 2, 3), { backend: reference })]]) }),
    `${who} 0.momentum expects (2) float64, got (3) float64`,
  )
  refuses(
    'a tensor of another dtype',
    load({ tensors: new Map([['0.momentum', tensor([1, 2], { backend: reference })]]) }),
    `${who} 0.momentum expects (2) float64, got (2) float32`,
  )
  refuses(
    'hyperparameters out of range',
    load({ groups: [{ ...group, lr: -1 }] }),
    'SGD: lr expects a number from 0, got -1',
  )
  refuses(
    'a base rate that is none',
    load({ groups: [{ ...group, baseLr: null }] }),
    `${who} baseLr expects a number from 0, got null`,
  )
})

describe('schedules', () => {
  const count = 'expects an integer from'
  refuses('step', () => step(0), `step: stepSize ${count} 1, got 0`)
  refuses('step gamma', () => step(1, { gamma: -1 }), 'step: gamma expects a number from 0, got -1')
  refuses('multiStep', () => multiStep([1, 1.5]), `multiStep: 1 ${count} 0, got 1.5`)
  refuses('exponential', () => exponential(nan), 'exponential: gamma expects a number from 0, got NaN')
  refuses('cosine', () => cosine({ steps: 0 }), `cosine: steps ${count} 1, got 0`)
  refuses('cosineRestarts', () => cosineRestarts(3, { tMult: 0 }), `cosineRestarts: tMult ${count} 1, got 0`)
  refuses('linearWarmup', () => linearWarmup(0), `linearWarmup: steps ${count} 1, got 0`)
  refuses('polynomial', () => polynomial({ power: -1 }), 'polynomial: power expects a number from 0, got -1')
  refuses('oneCycle', () => oneCycle({ pctStart: 2 }), 'oneCycle: pctStart expects a number from 0 to 1, got 2')
  refuses(
    'oneCycle strategy',
    () => oneCycle({ annealStrategy: wrong('sine') }),
    "oneCycle: annealStrategy expects 'cos' or 'linear', got 'sine'",
  )
  refuses(
    'oneCycle past its end',
    () => oneCycle({ totalSteps: 3 })(4, { total: 10, lr: 1 }),
    'oneCycle: step expects at most the 3 of the cycle, got 4',
  )
  refuses('withWarmup', () => withWarmup(-1, cosine()), `withWarmup: steps ${count} 0, got -1`)
  refuses('byEpoch', () => byEpoch(0, cosine()), `byEpoch: batches ${count} 1, got 0`)
  refuses(
    'momentum where there is none',
    () => new Adagrad([p()]).applySchedule(oneCycle(), 0, 10),
    "Adagrad: schedule expects one without momentum, got 'momentum'",
  )
})

describe('clipping and averages', () => {
  refuses('norm', () => clipGradNorm([], -1), 'clipGradNorm: maxNorm expects a number from 0, got -1')
  test('order of the norm', () => {
    const parameter = p()
    parameter.grad = tensor(Float64Array.of(1, 1), { backend: reference })
    expect(() => clipGradNorm([parameter], 1, { normType: -1 })).toThrow('norm: p expects')
  })
  test('a norm that is no number, where it is an error', () => {
    const parameter = p()
    parameter.grad = tensor(Float64Array.of(1, nan), { backend: reference })
    expect(() => clipGradNorm([parameter], 1, { errorIfNonfinite: true })).toThrow(
      'clipGradNorm: the norm of the gradients expects a finite number, got NaN',
    )
  })
  refuses('value', () => clipGradValue([], nan), 'clipGradValue: clipValue expects a number from 0, got NaN')
  const model = { namedParameters: () => [['w', p()] as const], namedBuffers: () => [] }
  refuses('decay', () => new EMA(model, { decay: 1.5 }), 'EMA: decay expects a number from 0 to 1, got 1.5')
  refuses(
    'nothing to average',
    () => new EMA({ namedParameters: () => [], namedBuffers: () => [] }),
    'EMA: model expects float tensors, got [object Object]',
  )
  const swapped = new EMA(model)
  swapped.swap()
  const lent = "expects averages of its own (swap() takes them back), got 'lent ones'"
  refuses('update while lent', () => swapped.update(), `EMA: update ${lent}`)
  refuses('state while lent', () => swapped.stateDict(), `EMA: stateDict ${lent}`)
  const load = (tensors: Map<string, Tensor>) => () => new EMA(model).loadStateDict({ updates: 1, tensors })
  refuses('missing', load(new Map()), 'EMA.loadStateDict: w expects (2) float64, got none')
  refuses(
    'shape',
    load(new Map([['w', tensor(Float64Array.of(1), { backend: reference })]])),
    'EMA.loadStateDict: w expects (2) float64, got (1) float64',
  )
  refuses(
    'unknown',
    load(
      new Map([
        ['w', p()],
        ['v', p()],
      ]),
    ),
    'EMA.loadStateDict: tensors expects 1 of them, got 2',
  )
  test('errors are typed', () => expect(() => new EMA(model, { decay: 2 })).toThrow(ArgumentError))
})
