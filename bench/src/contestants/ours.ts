/** The packages of this repository, by their public interface. */
import { headLoss, type ImageOutput } from '@convnets/blocks'
import { compile } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { measurePeak } from '@convnets/profile'
import {
  add,
  batchNormInference,
  batchNormTraining,
  conv2d,
  convTranspose2d,
  crossEntropy,
  enableTurbo,
  getThreads,
  grad,
  matmul,
  maxPool2d,
  mean,
  mul,
  noGrad,
  ones,
  relu,
  seeded,
  setThreads,
  sum,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from '@convnets/tensor'
import { copier } from '../bandwidth.ts'
import {
  type ConvCase,
  callsPerRun,
  type Job,
  type MemoryCase,
  type NetworkCase,
  padding,
  type TrainingCase,
} from '../cases.ts'
import { entryOf } from '../convolutions.ts'
import { numbers } from '../numbers.ts'
import { type Contestant, type Run, Unsupported } from './contestant.ts'

const filled = (shape: readonly number[], seed = 1): Tensor =>
  tensor(
    numbers(
      shape.reduce((n, d) => n * d, 1),
      seed,
    ),
    { shape },
  ).keep()

/** Runs `fn` for its time: without gradients, and what it makes is freed. */
const plain = (fn: () => unknown, ...held: readonly Tensor[]): Run => ({
  once: () => noGrad(() => tidy(() => void fn())),
  dispose: () => {
    for (const one of held) one.dispose()
  },
})

/** The backward pass of `y`, of which the graph is kept, by `by`. */
function gradient(y: Tensor, by: Tensor, ...held: readonly Tensor[]): Run {
  const g = filled(y.shape, 3)
  return {
    once: () => tidy(() => void grad(y, [by], { gradients: [g], retainGraph: true })),
    dispose: () => {
      for (const one of [y, by, g, ...held]) one.dispose()
    },
  }
}

function convolution({ spec: s, pass }: ConvCase): Run {
  const { top, left, bottom, right } = padding(s)
  const stride = [s.strideHeight, s.strideWidth] as const
  const dilation = [s.dilationHeight, s.dilationWidth] as const
  const options = { stride, dilation, groups: s.groups }
  const weight = filled([s.outChannels, s.inChannels / s.groups, s.kernelHeight, s.kernelWidth], 2)
  const x = (): Tensor => filled([s.batch, s.inChannels, s.inHeight, s.inWidth])
  if (pass === 'forward') {
    const image = x()
    return plain(
      () => conv2d(image, weight, undefined, { ...options, padding: [top, right, bottom, left] }),
      image,
      weight,
    )
  }
  if (pass === 'weightGrad') {
    const image = x()
    weight.requiresGrad = true
    return gradient(
      conv2d(image, weight, undefined, { ...options, padding: [top, right, bottom, left] }).keep(),
      weight,
      image,
    )
  }
  const reach = (out: number, step: number, gap: number, kernel: number): number =>
    (out - 1) * step + gap * (kernel - 1) + 1
  const outputPadding = [
    s.inHeight - reach(s.outHeight, s.strideHeight, s.dilationHeight, s.kernelHeight) + 2 * top,
    s.inWidth - reach(s.outWidth, s.strideWidth, s.dilationWidth, s.kernelWidth) + 2 * left,
  ] as const
  const g = filled([s.batch, s.outChannels, s.outHeight, s.outWidth], 3)
  return plain(
    () => convTranspose2d(g, weight, undefined, { ...options, padding: [top, left], outputPadding }),
    g,
    weight,
  )
}

function network({ model: name, size }: NetworkCase, compiled: boolean): Run {
  const model = seeded(1, () => entryOf(name)().eval())
  const x = filled([1, 3, size, size])
  const run = compile(model)
  return {
    once: () => tidy(() => void (compiled ? run(x) : noGrad(() => model.forward(x)))),
    dispose() {
      run.dispose()
      model.dispose()
      x.dispose()
    },
  }
}

function training({ model: name, size, batch, classes }: TrainingCase, compiled: boolean): Run {
  const model = seeded(1, () => entryOf(name)({ numClasses: classes }).train())
  const run = compile(model)
  const x = filled([batch, 3, size, size])
  const target = tensor(
    Int32Array.from({ length: batch }, (_, i) => i % classes),
    { shape: [batch] },
  ).keep()
  const optimizer = new SGD(model.parameters(), { lr: 1e-3, momentum: 0.9, weightDecay: 1e-4 })
  return {
    once: () =>
      tidy(() => {
        optimizer.zeroGrad()
        const output = (compiled ? run(x) : model.forward(x)) as ImageOutput
        const loss = headLoss(output, (logits) => crossEntropy(logits, target))
        loss.backward()
        optimizer.step()
        loss.item()
      }),
    dispose() {
      run.dispose()
      model.dispose()
      x.dispose()
      target.dispose()
    },
  }
}

function memoryBound({ op, shape }: MemoryCase): Run {
  const channels = shape[1] as number
  const x = filled(shape)
  const perChannel = (value: number): Tensor => mul(ones([channels]), value).keep()
  switch (op) {
    case 'relu':
      return plain(() => relu(x), x)
    case 'relu gradient':
      x.requiresGrad = true
      return gradient(relu(x).keep(), x)
    case 'add + relu': {
      const y = filled(shape, 2)
      return plain(() => relu(add(x, y)), x, y)
    }
    case 'batch norm, training': {
      const [weight, bias] = [perChannel(1), perChannel(0)]
      return plain(() => batchNormTraining(x, weight, bias), x, weight, bias)
    }
    case 'batch norm gradient': {
      const [weight, bias] = [perChannel(1), perChannel(0)]
      x.requiresGrad = true
      return gradient(batchNormTraining(x, weight, bias).output.keep(), x, weight, bias)
    }
    case 'batch norm, inference': {
      const [weight, bias, average, variance] = [perChannel(1), perChannel(0), perChannel(0.1), perChannel(2)]
      return plain(() => batchNormInference(x, average, variance, weight, bias), x, weight, bias, average, variance)
    }
    case 'max pool 3x3/2':
      return plain(() => maxPool2d(x, 3, { stride: 2, padding: 1 }), x)
    case 'softmax cross-entropy': {
      const target = zeros([shape[0] as number], { dtype: 'int32' }).keep()
      return plain(() => crossEntropy(x, target), x, target)
    }
    case 'sum':
      return plain(() => sum(x), x)
    case 'mean over pixels':
      return plain(() => mean(x, { dim: [2, 3] }), x)
  }
}

function overhead(op: 'relu' | 'add' | 'mul' | 'sum'): Run {
  const x = ones([1]).keep()
  x.requiresGrad = true
  const call = { relu: () => relu(x), add: () => add(x, x), mul: () => mul(x, x), sum: () => sum(x) }[op]
  return {
    once: () =>
      tidy(() => {
        for (let i = 0; i < callsPerRun; i++) call()
      }),
    dispose: () => x.dispose(),
  }
}

function prepare(job: Job, compiled: boolean): Run | Promise<Run> {
  switch (job.kind) {
    case 'gemm': {
      const [a, b] = [filled([job.m, job.k], 1), filled([job.k, job.n], 2)]
      return plain(() => matmul(a, b), a, b)
    }
    case 'conv':
      return convolution(job)
    case 'network':
      return network(job, compiled)
    case 'training':
      return training(job, compiled)
    case 'memory':
      return memoryBound(job)
    case 'copy':
      return copier(job.bytes / 2, getThreads())
    case 'overhead':
      return overhead(job.op)
  }
}

/** Ours on `threads` threads. With `turbo`, only where V8's revectorizer can be had; networks and training steps are `compiled` by default. */
export async function ours(
  threads: number,
  { turbo = false, compiled = true }: { turbo?: boolean; compiled?: boolean } = {},
): Promise<Contestant> {
  if (turbo) {
    const result = enableTurbo()
    if (!result.enabled) throw new Unsupported(result.message)
  }
  setThreads(threads)
  return {
    version: `Node ${process.versions.node}`,
    threads: getThreads(),
    prepare: (job) => prepare(job, compiled),
    peak: async () => (await measurePeak({ threads, milliseconds: 60 })).gflops,
  }
}
