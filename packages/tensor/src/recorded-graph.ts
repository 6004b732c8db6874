/** The place of a recorded function in the gradient graph: a step for each pass, and one in front of it for each result. */
import { type GradNode, type Leaf, nodeNumber, Storage, type TensorCore, type WalkContext } from './core.ts'
import { GradientError } from './errors.ts'
import { type Precision, scopedPrecision } from './precision.ts'
import type { Tensor } from './tensor.ts'

/** Takes a gradient by a leaf from outside. */
export type AtLeaf = (leaf: Tensor, piece: Tensor) => void

/** Gradients by the inputs of a pass, given those of its results by number. */
type PassGradients = (results: ReadonlyMap<number, Tensor>, atLeaf: AtLeaf) => readonly (Tensor | undefined)[]

export interface Pass {
  /** Is freed when nobody can ask for the gradient any more. */
  readonly token: Tensor
  readonly inputs: readonly Tensor[]
  readonly gradients: PassGradients
  /** Lives as long as the graph. */
  readonly keeper: object
}

/** The step of a pass: has its gradient computed when those of the results have come. */
export class PassNode implements GradNode {
  readonly id: number
  readonly name = 'record'
  readonly opaque = true
  readonly precision: Precision | undefined = scopedPrecision()
  readonly edges: readonly (GradNode | Leaf | undefined)[]
  readonly #pass: Pass
  readonly #results: Map<number, Tensor> = new Map()
  #walked = false
  released = false

  constructor(pass: Pass) {
    this.id = nodeNumber()
    this.#pass = pass
    this.edges = pass.inputs.map(({ edge }) => edge)
  }

  get saved(): readonly TensorCore[] {
    return this.released ? [] : [this.#pass.token]
  }

  /** Whether its gradient may still be asked for. */
  get waits(): boolean {
    return !this.#walked && !this.released && !this.#pass.token.disposed
  }

  /** Takes the gradient of a result. */
  take(result: number, g: Tensor): void {
    this.#results.get(result)?.dispose()
    this.#results.set(result, g.alias().keep())
  }

  backward(_: Tensor, __: readonly boolean[], walk: WalkContext): readonly (Tensor | undefined)[] {
    try {
      if (this.#pass.token.disposed && !this.released) {
        throw new GradientError(
          'backward: the pass of a recorded function was freed with its scope; run backward inside the same tidy',
        )
      }
      if (!this.waits) {
        throw new GradientError(
          'backward: the graph through a recorded function was freed by an earlier backward; it can be walked once, also with retainGraph',
        )
      }
      this.#walked = true
      return this.#pass.gradients(this.#results, walk.accumulate)
    } finally {
      this.#forget()
    }
  }

  #forget(): void {
    for (const g of this.#results.values()) g.dispose()
    this.#results.clear()
  }

  release(): void {
    this.released = true
    this.#forget()
    this.#pass.token.dispose()
  }
}

/** The step of a result: hands its gradient to the pass. */
export class ResultNode implements GradNode {
  readonly id: number
  readonly name = 'record'
  readonly precision = undefined
  readonly edges: readonly [PassNode]
  readonly saved: readonly TensorCore[] = []
  readonly #result: number
  released = false

  constructor(pass: PassNode, result: number) {
    this.id = nodeNumber()
    this.edges = [pass]
    this.#result = result
  }

  backward(g: Tensor, _: readonly boolean[], { createGraph }: WalkContext): readonly Tensor[] {
    if (createGraph) throw new GradientError('backward: a recorded function has no gradient under createGraph')
    this.edges[0].take(this.#result, g)
    // Something has to be handed on; how much, the pass has been told.
    return [g.make(new Storage(g.backend, g.backend.fill('float32', 1, 0)), [], 'float32')]
  }

  release(): void {
    this.released = true
  }
}
