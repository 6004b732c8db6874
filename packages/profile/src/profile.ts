/** What a model costs: a tree of its modules with shapes, parameters and arithmetic, from one pass without numbers. */
import type { Module } from '@convnets/nn'
import {
  ArgumentError,
  checkOptionsObject,
  type DType,
  noGrad,
  type OpCall,
  readOptions,
  type Shape,
  tidy,
  watchOps,
} from '@convnets/tensor'
import { shapeOnly } from '@convnets/tensor/shape-only'
import { type Convention, costOf, plus } from './cost.ts'
import { checkBatch, checkInput, dtypeOf, explaining, outlineOf } from './input.ts'
import { inMode, nameOf, tensorsIn, visiting } from './instrument.ts'
import {
  type BudgetOptions,
  inferenceMemory,
  type MemoryOptions,
  maxBatch,
  type TrainingMemory,
  type TrainingOptions,
  trainingMemory,
} from './memory.ts'
import { type TableOptions, tableOf } from './table.ts'
import { type Draft, drafts, finish, type ProfileNode } from './tree.ts'
import { standIn } from './without-numbers.ts'

/** How a model is profiled. */
export interface ProfileOptions {
  /** Inputs at once. Default 1. */
  readonly batch?: number
  /** Profiles the training mode, auxiliary heads and batch statistics included. Default false: evaluation mode. */
  readonly training?: boolean
  /**
   * What shares are of in tables and pictures: `macs`, the multiply-accumulates of convolutions and linear layers, as torchvision
   * and fvcore count, or `flops`, the floating-point operations of everything. Both are always counted. Default `macs`.
   */
  readonly convention?: Convention
}

/** All numbers of a profile as plain data. */
export type ProfileFacts = Readonly<
  Pick<
    Profile,
    | 'name'
    | 'input'
    | 'batch'
    | 'dtype'
    | 'convention'
    | 'parameters'
    | 'trainable'
    | 'macs'
    | 'flops'
    | 'activations'
    | 'root'
  >
>

/** What a model costs; see `profile`. */
export class Profile {
  readonly #model: Module
  /** Class of the model. */
  readonly name: string
  /** Shape of one input. */
  readonly input: Shape
  readonly batch: number
  readonly dtype: DType
  readonly training: boolean
  /** What `share` is of. */
  readonly convention: Convention
  /** The model and all modules inside. */
  readonly root: ProfileNode

  constructor(model: Module, input: Shape, options: ProfileOptions = {}) {
    const defaults = { batch: 1, training: false, convention: 'macs' } as const
    const { batch, training, convention } = readOptions('profile', options, defaults)
    this.#model = model
    this.name = model.constructor.name
    this.input = [...checkInput('profile', input)]
    this.batch = checkBatch('profile', batch)
    this.dtype = dtypeOf(model)
    this.training = training
    if (convention !== 'macs' && convention !== 'flops') {
      throw new ArgumentError(`profile: convention expects macs or flops, got ${String(convention)}`)
    }
    this.convention = convention
    const nodes = drafts(model)
    const open: Draft[] = []
    const visitor = {
      enter(path: string, _: Module, inputs: readonly unknown[]): void {
        const draft = nodes.get(path) as Draft
        draft.calls++
        draft.inputShape ??= tensorsIn(inputs)[0]?.shape
        open.push(draft)
      },
      leave(path: string, module: Module, output: unknown): void {
        if (output instanceof Promise) {
          output.catch(() => undefined)
          throw new ArgumentError(
            `profile: ${nameOf(path, module)} gives a promise: a module that waits for values must be run to be measured`,
          )
        }
        const draft = nodes.get(path) as Draft
        draft.outputShape ??= tensorsIn(output)[0]?.shape
        open.pop()
      },
    }
    const end = (call: OpCall): void => {
      const at = open.at(-1)
      if (at !== undefined) at.own = plus(at.own, costOf(call))
    }
    const forward = (shape: Shape, count: number): void =>
      tidy(() => {
        noGrad(() => void (model.forward as (x: unknown) => unknown)(outlineOf(count, shape, this.dtype)))
      })
    const run = (): void => visiting(model, visitor, () => watchOps({ end }, () => forward(this.input, batch)))
    inMode(model, training, () =>
      standIn(model, shapeOnly, () => explaining('profile', model, this.input, run, (shape) => forward(shape, batch))),
    )
    this.root = finish(nodes.get('') as Draft)
  }

  /** Numbers in all parameters. */
  get parameters(): number {
    return this.root.parameters
  }

  /** Numbers in the parameters that require a gradient. */
  get trainable(): number {
    return this.root.trainable
  }

  /** Multiply-accumulates of convolutions and linear layers, as torchvision and fvcore count them, for the whole batch. */
  get macs(): number {
    return this.root.cost.macs
  }

  /** Floating-point operations of everything, for the whole batch. */
  get flops(): number {
    return this.root.cost.flops
  }

  /** Elements that convolutions and linear layers give, as fvcore and timm count activations, for the whole batch. */
  get activations(): number {
    return this.root.cost.activations
  }

  /** Part of the model's arithmetic that a module does, by the convention that was chosen: 0 to 1. */
  share({ cost }: ProfileNode): number {
    const whole = this.root.cost[this.convention]
    return whole > 0 ? cost[this.convention] / whole : 0
  }

  /** The modules without modules inside, in order: a row per layer. */
  get layers(): readonly ProfileNode[] {
    const leaves = (node: ProfileNode): ProfileNode[] =>
      node.children.length === 0 ? [node] : node.children.flatMap(leaves)
    return leaves(this.root)
  }

  /** The node of a path. @throws ArgumentError where no module has it. */
  at(path: string): ProfileNode {
    const find = (node: ProfileNode): ProfileNode | undefined =>
      node.path === path
        ? node
        : node.children.reduce<ProfileNode | undefined>((found, child) => found ?? find(child), undefined)
    const node = find(this.root)
    if (node === undefined) throw new ArgumentError(`Profile.at: path expects that of a module, got '${path}'`)
    return node
  }

  /** The tree as text: a line per module. */
  table(options: TableOptions = {}): string {
    return tableOf(this, options)
  }

  /** Bytes that the wasm backend takes to run the model, parameters included. */
  inferenceMemory(options: MemoryOptions = {}): number {
    checkOptionsObject('inferenceMemory', options)
    return inferenceMemory(this.#model, this.input, { batch: this.batch, ...options })
  }

  /** Bytes that a training step takes; see `trainingMemory`. */
  trainingMemory(options: TrainingOptions = {}): TrainingMemory {
    checkOptionsObject('trainingMemory', options)
    return trainingMemory(this.#model, this.input, { batch: this.batch, ...options })
  }

  /** The largest batch whose training step fits in `bytes`; see `maxBatch`. */
  maxBatch(bytes: number, options: BudgetOptions = {}): number {
    return maxBatch(this.#model, this.input, bytes, options)
  }

  /** All numbers as plain data. */
  toJSON(): ProfileFacts {
    const { name, input, batch, dtype, convention, parameters, trainable, macs, flops, activations, root } = this
    return { name, input, batch, dtype, convention, parameters, trainable, macs, flops, activations, root }
  }
}

/**
 * What a model costs for inputs of a shape, without running it: shapes, parameters, multiply-accumulates, FLOPs and
 * activations of every module. The model may lie on any backend and may have no numbers (`withoutNumbers`); it is not changed.
 *
 * ```ts
 * const p = profile(resnet50(), [3, 224, 224])
 * p.macs // 4089184256
 * ```
 *
 * @param input shape of one input without its batch: (C, H, W) for images.
 * @throws ShapeError for a shape that does not fit, naming the module and the smallest that would; BackendError for a module
 * that needs values to know its shapes; ArgumentError for a batch of 0.
 */
export function profile(model: Module, input: Shape, options: ProfileOptions = {}): Profile {
  return new Profile(model, input, options)
}
