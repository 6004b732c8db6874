/** Watching ops as they run: for profilers, tracers and whoever wants to know what a network does. */

import type { GradNode } from './core.ts'
import { checkSynchronous } from './synchronous.ts'
import type { Tensor } from './tensor.ts'

/** One call of an op. The tensors are those of the program: a watcher reads their shapes and frees nothing. */
export interface OpCall {
  /** `conv2d`, `relu gradient`, `update`. */
  readonly name: string
  readonly inputs: readonly (Tensor | undefined)[]
  /** What the op was told beside its inputs; each op has its own kind (convolutions: `ConvSpec`, pooling: `PoolSpec`). */
  readonly attrs: unknown
  readonly output: Tensor
  /** Outputs without gradient: statistics, indices. */
  readonly extra: readonly Tensor[]
  /** Whether the output is the input's memory under another shape, which costs nothing. */
  readonly view: boolean
}

/** What is called while ops run, in order and synchronously. */
export interface OpWatcher {
  /** An op has checked its arguments and is about to run. */
  begin?(name: string): void
  /** It has run. Not called for an op that throws. */
  end?(call: OpCall): void
  /** The backward pass turns to a step of the graph (what `output.node` was in the forward pass), or is done with it. */
  step?(node: GradNode | undefined): void
}

let current: OpWatcher | undefined

/** The watcher at work. */
export function watcher(): OpWatcher | undefined {
  return current
}

/** Runs `fn` and shows `watch` every op in it, gradients and optimizer steps included. The innermost watcher sees it. */
export function watchOps<T>(watch: OpWatcher, fn: () => T): T {
  checkSynchronous('watchOps', fn)
  const former = current
  current = watch
  try {
    return fn()
  } finally {
    current = former
  }
}

/** Runs a change in place of `target` as an op that is watched. */
export function watched(name: string, target: Tensor, others: readonly Tensor[], change: () => void): void {
  const watch = current
  watch?.begin?.(name)
  change()
  watch?.end?.({ name, inputs: [target, ...others], attrs: undefined, output: target, extra: [], view: false })
}
