/** How layers begin unless told otherwise: drawn at once, or late and then only where it is kept. */
import { defaultGenerator, Generator, type GeneratorState, type Tensor } from '@convnets/tensor'
import { fans, kaimingUniform_, uniform_ } from './init.ts'

/** Numbers that were reserved for a tensor and not drawn yet. */
interface Reserved {
  readonly tensor: Tensor
  /** Contents that are to be overwritten; others are somebody's own. */
  readonly version: number
  readonly state: GeneratorState
  readonly draw: (generator: Generator) => void
}

let reserved: Reserved[] | undefined

function drawOrReserve(tensor: Tensor, draw: (generator: Generator) => void): void {
  const generator = defaultGenerator()
  if (reserved === undefined) {
    draw(generator)
    return
  }
  reserved.push({ tensor, version: tensor.storage.buffer.version, state: generator.state(), draw })
  generator.take(tensor.size)
}

/**
 * PyTorch's default for linear layers and convolutions: weight and bias uniform in +- 1 / sqrt(fanIn). (Its source says
 * kaiming_uniform with slope sqrt(5), which is the same.)
 */
export function defaultInit(weight: Tensor, bias: Tensor | undefined): void {
  drawOrReserve(weight, (generator) => kaimingUniform_(weight, { slope: Math.sqrt(5), generator }))
  if (bias === undefined) return
  const { fanIn } = fans(weight)
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0
  drawOrReserve(bias, (generator) => uniform_(bias, -bound, bound, { generator }))
}

/** Draws what is reserved so far, as far as nothing else has been written there. */
export function drawReserved(): void {
  const list = reserved?.splice(0) ?? []
  for (const { tensor, version, state, draw } of list) {
    if (tensor.disposed || tensor.storage.buffer.version !== version) continue
    const generator = new Generator(state.seed)
    generator.restore(state)
    draw(generator)
  }
}

/**
 * Builds a module whose layers draw their default initial weights only afterwards, and only those that `build` has not
 * overwritten: a network with initial weights of its own is built without drawing any twice. Every number is the one that
 * it would have been. Weights are zeros until then, but state dicts and lists of parameters, asked for inside of `build`,
 * have theirs.
 *
 * ```ts
 * const layer = deferInit(() => {
 *   const conv = new Conv2d(3, 64, { kernel: 7 })
 *   init.kaimingNormal_(conv.weight)
 *   return conv
 * })
 * ```
 */
export function deferInit<T>(build: () => T): T {
  if (reserved !== undefined) return build()
  reserved = []
  try {
    const built = build()
    drawReserved()
    return built
  } finally {
    reserved = undefined
  }
}
