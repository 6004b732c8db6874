/** All that is measured, section by section. */
import { profile, withoutNumbers } from '@convnets/profile'
import { type Case, flopsOf, type MemoryCase, type Pass, type Peer } from './cases.ts'
import { convolutionsOf, entryOf, type Found, isDepthwise, label, oneOfEachKind } from './convolutions.ts'

const networks = ['resnet18', 'resnet50', 'vgg16', 'googlenet', 'densenet121', 'resnext50_32x4d', 'efficientnet_b0']
const graphs = [...networks.slice(0, 3), 'alexnet', ...networks.slice(3), 'inception_v3', 'mobilenet_v2']
const runtimes: Peer[] = ['onnxruntime-web', 'onnxruntime-node']
const forwardPeers: Peer[] = ['onnxruntime-web', 'tfjs-wasm', 'onnxruntime-node', 'turbo']

/** jax-js takes seconds for convolutions that take others milliseconds: it runs what is small enough. */
const jaxLimits = { gemm: 3e9, conv: 3e8 }

function gemms(): Case[] {
  const shapes = [
    ...[128, 256, 512, 1024, 2048].map((n) => [n, n, n]),
    [3136, 64, 64],
    [784, 512, 128],
    [49, 2048, 512],
    [4096, 64, 576],
    [128, 1000, 2048],
    [1, 4096, 4096],
    [1, 1000, 2048],
    [16, 1000, 512],
  ] as const
  return (shapes as readonly (readonly [number, number, number])[]).map(([m, n, k]) => {
    const job = { kind: 'gemm', m, n, k } as const
    const jax: Peer[] = flopsOf(job) < jaxLimits.gemm ? ['jax-js'] : []
    return { section: 'gemm', name: `${m} x ${n} x ${k}`, job, peers: [...forwardPeers, ...jax] }
  })
}

const passes: readonly [Pass, string][] = [
  ['forward', ''],
  ['inputGrad', ' | input gradient'],
  ['weightGrad', ' | weight gradient'],
]

function convolutions(all: boolean): Case[] {
  const found = convolutionsOf(networks)
  // The first network's convolutions are in every paper that compares kernels.
  const well = found.filter(({ networks }) => networks.includes('resnet18'))
  const kinds = oneOfEachKind(found)
  const chosen = all ? found : found.filter((one) => well.includes(one) || kinds.includes(one))
  const batched = well
    .filter(({ spec }) => spec.kernelHeight === 3 && spec.strideHeight === 1)
    .map((one): Found => ({ ...one, spec: { ...one.spec, batch: 16 } }))
  let jaxed = 0
  return passes.flatMap(([pass, suffix]) =>
    [...chosen, ...batched].map(({ spec }): Case => {
      const job = { kind: 'conv', spec, pass } as const
      const dense = spec.groups === 1 && spec.kernelHeight === 3 && spec.strideHeight === 1
      const jax: Peer[] = pass === 'forward' && dense && flopsOf(job) < jaxLimits.conv && jaxed++ < 2 ? ['jax-js'] : []
      const peers: Peer[] = pass === 'forward' ? [...forwardPeers, ...jax] : pass === 'inputGrad' ? [...runtimes] : []
      return { section: isDepthwise(spec) ? 'depthwise' : 'convolutions', name: label(spec) + suffix, job, peers }
    }),
  )
}

function macsOf(model: string, size: number, classes = 1000): number {
  return withoutNumbers(() => {
    const network = entryOf(model)({ numClasses: classes }).eval()
    return profile(network, [3, size, size]).macs
  })
}

function networkCases(): Case[] {
  return graphs.map((model) => {
    const size = entryOf(model).inputSize[0]
    const job = { kind: 'network', model, size, macs: macsOf(model, size) } as const
    return { section: 'networks', name: `${model} @${size}`, job, peers: [...runtimes, 'uncompiled', 'turbo'] }
  })
}

function trainingCases(): Case[] {
  const steps = [
    ['resnet20', 32, 128, 10],
    ['resnet18', 64, 16, 10],
    ['resnet50', 64, 16, 10],
    ['efficientnet_b0', 64, 16, 10],
  ] as const
  return steps.map(([model, size, batch, classes]) => {
    const job = { kind: 'training', model, size, batch, classes, macs: macsOf(model, size, classes) } as const
    return {
      section: 'training',
      name: `${model} @${size} batch ${batch}`,
      job,
      peers: ['uncompiled', 'turbo', 'torch'],
    }
  })
}

function memoryCases(): Case[] {
  const image = [16, 64, 112, 112]
  const count = 16 * 64 * 112 * 112
  const logits = [8192, 1000]
  /** Bytes as multiples of the input's: what must be read and written if nothing is read twice. */
  const ops: readonly [MemoryCase['op'], readonly number[], number][] = [
    ['relu', image, 2],
    ['relu gradient', image, 3],
    ['add + relu', image, 3],
    ['batch norm, inference', image, 2],
    // Once for the statistics, once to be normalised.
    ['batch norm, training', image, 3],
    // x and g for the sums, then both again, and the result.
    ['batch norm gradient', image, 5],
    ['max pool 3x3/2', image, 1.25],
    ['softmax cross-entropy', logits, 1],
    ['sum', image, 1],
    ['mean over pixels', image, 1],
  ]
  const sized = (shape: readonly number[]): number => 4 * shape.reduce((n, d) => n * d, 1)
  const copy = { kind: 'copy', bytes: 2 * 4 * count } as const
  return [
    { section: 'memory', name: 'copy', job: copy, peers: [] },
    ...ops.map(
      ([op, shape, times]): Case => ({
        section: 'memory',
        name: op,
        job: { kind: 'memory', op, shape, bytes: times * sized(shape) },
        peers: [],
      }),
    ),
  ]
}

function overheadCases(): Case[] {
  return (['relu', 'add', 'mul', 'sum'] as const).map((op) => ({
    section: 'overhead',
    name: op,
    job: { kind: 'overhead', op },
    peers: [],
  }))
}

/** Every case; with `all`, every distinct convolution and not one of each kind. */
export function suite(all: boolean): Case[] {
  const convs = convolutions(all)
  return [
    ...networkCases(),
    ...trainingCases(),
    ...gemms(),
    ...convs.filter(({ section }) => section === 'convolutions'),
    ...convs.filter(({ section }) => section === 'depthwise'),
    ...memoryCases(),
    ...overheadCases(),
  ]
}
