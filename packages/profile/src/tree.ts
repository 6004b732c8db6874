/** The tree of a model's modules, and what is known of each. */
import type { Module } from '@convnets/nn'
import type { Shape } from '@convnets/tensor'
import { type Cost, noCost, plus, tensorBytes } from './cost.ts'

/** A module in the tree: what it costs with everything inside. */
export interface ProfileNode {
  /** Path as in `namedModules()`; '' for the model. */
  readonly path: string
  /** Last part of the path. */
  readonly name: string
  /** Name of the class. */
  readonly type: string
  /** Defining numbers, as `toString` shows them: `3, 64, kernel: 7`. */
  readonly description: string
  /** Shapes of its first tensor in and out, batch included; undefined where it was never called or gives no tensor. */
  readonly inputShape: Shape | undefined
  readonly outputShape: Shape | undefined
  /** How often it was called. */
  readonly calls: number
  /** Numbers in its parameters, each tensor counted once, where it is first found. */
  readonly parameters: number
  /** Those that require a gradient. */
  readonly trainable: number
  /** Bytes of parameters and of buffers. */
  readonly parameterBytes: number
  readonly bufferBytes: number
  /** Arithmetic and results, what its children cost included. */
  readonly cost: Cost
  /** What it computes itself, outside of its children: sums of residual blocks, joins, pooling by function. */
  readonly own: Cost
  readonly children: readonly ProfileNode[]
}

/** A node while it is measured. */
export interface Draft {
  readonly path: string
  readonly module: Module
  readonly children: Draft[]
  inputShape: Shape | undefined
  outputShape: Shape | undefined
  calls: number
  own: Cost
  parameters: number
  trainable: number
  parameterBytes: number
  bufferBytes: number
}

/** The tree of modules, nothing measured. Every module lies below the one whose path is the longest part of its own. */
export function drafts(model: Module): Map<string, Draft> {
  const all: Map<string, Draft> = new Map()
  const parentOf = (path: string): Draft | undefined => {
    for (let end = path.lastIndexOf('.'); end >= 0; end = path.lastIndexOf('.', end - 1)) {
      const parent = all.get(path.slice(0, end))
      if (parent !== undefined) return parent
      if (end === 0) break
    }
    return all.get('')
  }
  for (const [path, module] of model.namedModules()) {
    const draft: Draft = {
      path,
      module,
      children: [],
      inputShape: undefined,
      outputShape: undefined,
      calls: 0,
      own: noCost,
      parameters: 0,
      trainable: 0,
      parameterBytes: 0,
      bufferBytes: 0,
    }
    if (path !== '') parentOf(path)?.children.push(draft)
    all.set(path, draft)
  }
  const ownerOf = (key: string): Draft => parentOf(key) as Draft
  for (const [key, tensor] of model.namedParameters()) {
    const owner = ownerOf(key)
    owner.parameters += tensor.size
    owner.parameterBytes += tensorBytes(tensor)
    if (tensor.requiresGrad) owner.trainable += tensor.size
  }
  for (const [key, tensor] of model.namedBuffers()) ownerOf(key).bufferBytes += tensorBytes(tensor)
  return all
}

/** A node and all below it, as they are measured. */
export function finish(draft: Draft): ProfileNode {
  const children = draft.children.map(finish)
  const total = (key: 'parameters' | 'trainable' | 'parameterBytes' | 'bufferBytes'): number =>
    children.reduce((sum, child) => sum + child[key], draft[key])
  const { path, module, inputShape, outputShape, calls, own } = draft
  return {
    path,
    name: path.slice(path.lastIndexOf('.') + 1),
    type: module.constructor.name,
    description: module.describe(),
    inputShape,
    outputShape,
    calls,
    parameters: total('parameters'),
    trainable: total('trainable'),
    parameterBytes: total('parameterBytes'),
    bufferBytes: total('bufferBytes'),
    cost: children.reduce((sum, child) => plus(sum, child.cost), own),
    own,
    children,
  }
}
