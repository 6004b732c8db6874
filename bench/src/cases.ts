/** What is measured, as data that goes from process to process: kernels, networks, training steps, single ops. */
import type { ConvSpec } from '@convnets/tensor'

/** A matrix product of (m, k) and (k, n). */
export interface GemmCase {
  readonly kind: 'gemm'
  readonly m: number
  readonly n: number
  readonly k: number
}

export type Pass = 'forward' | 'inputGrad' | 'weightGrad'

/** A convolution without bias, or one of its gradients. */
export interface ConvCase {
  readonly kind: 'conv'
  readonly spec: ConvSpec
  readonly pass: Pass
}

/** A network in evaluation mode, on one image of its native size. */
export interface NetworkCase {
  readonly kind: 'network'
  readonly model: string
  readonly size: number
  readonly macs: number
}

/** Forward, cross-entropy, backward and SGD with momentum. */
export interface TrainingCase {
  readonly kind: 'training'
  readonly model: string
  readonly size: number
  readonly batch: number
  readonly classes: number
  /** Of one image, forward. */
  readonly macs: number
}

/** An op that does little arithmetic. `bytes` is what it must at least read and write. */
export interface MemoryCase {
  readonly kind: 'memory'
  readonly op: MemoryOp
  readonly shape: readonly number[]
  readonly bytes: number
}

/** A copy of `bytes` / 2 bytes on all threads at once: what memory can do. */
interface CopyCase {
  readonly kind: 'copy'
  readonly bytes: number
}

/** One op on a tensor of one element, its gradient recorded. */
interface OverheadCase {
  readonly kind: 'overhead'
  readonly op: 'relu' | 'add' | 'mul' | 'sum'
}

/** Calls in one run of an `OverheadCase`. */
export const callsPerRun = 200

type MemoryOp =
  | 'relu'
  | 'relu gradient'
  | 'add + relu'
  | 'batch norm, training'
  | 'batch norm, inference'
  | 'batch norm gradient'
  | 'max pool 3x3/2'
  | 'softmax cross-entropy'
  | 'sum'
  | 'mean over pixels'

/** Anything that a contestant can be asked to run. */
export type Job = GemmCase | ConvCase | NetworkCase | TrainingCase | MemoryCase | CopyCase | OverheadCase

export type Section =
  | 'gemm'
  | 'convolutions'
  | 'depthwise'
  | 'networks'
  | 'training'
  | 'memory'
  | 'overhead'
  | 'startup'

export interface Case {
  readonly section: Section
  readonly name: string
  readonly job: Job
  /** Contestants beside ours. */
  readonly peers: readonly Peer[]
}

export const peers = [
  'onnxruntime-web',
  'tfjs-wasm',
  'jax-js',
  'onnxruntime-node',
  'uncompiled',
  'turbo',
  'torch',
] as const

export type Peer = (typeof peers)[number]

/** Whoever runs jobs. `turbo` is ours on Node 24 with the revectorizer, `uncompiled` ours without `compile`. */
export type ContestantName = 'ours' | Peer

/** Floating-point operations of a direct computation; 0 where they are not the point. */
export function flopsOf(job: Job): number {
  switch (job.kind) {
    case 'gemm':
      return 2 * job.m * job.n * job.k
    case 'conv': {
      const s = job.spec
      const perOutput = (s.kernelHeight * s.kernelWidth * s.inChannels) / s.groups
      return 2 * s.batch * s.outHeight * s.outWidth * s.outChannels * perOutput
    }
    case 'network':
      return 2 * job.macs
    case 'training':
      // Every product of the forward pass comes back twice: by the input and by the weights.
      return 3 * 2 * job.macs * job.batch
    default:
      return 0
  }
}

/** Zeros at the bottom and right that the spec leaves unsaid: those that the last window reaches, or none. */
export function padding(s: ConvSpec): { top: number; left: number; bottom: number; right: number } {
  const reach = (out: number, stride: number, dilation: number, kernel: number): number =>
    (out - 1) * stride + dilation * (kernel - 1) + 1
  const bottom = reach(s.outHeight, s.strideHeight, s.dilationHeight, s.kernelHeight) - s.inHeight - s.padTop
  const right = reach(s.outWidth, s.strideWidth, s.dilationWidth, s.kernelWidth) - s.inWidth - s.padLeft
  return { top: s.padTop, left: s.padLeft, bottom: Math.max(0, bottom), right: Math.max(0, right) }
}
