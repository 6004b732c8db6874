/** Two ways to compute the same training, compared to the bit. */
import { seeded, type Tensor, tidy } from '@convnets/tensor'

/** What is compared: a model, or one with another forward pass (compiled, on a backend of your own). */
export interface Trainee {
  /** Gives the loss of step number `step`, for which it makes its inputs. */
  loss(step: number): Tensor
  namedParameters(): ReadonlyMap<string, Tensor>
  namedBuffers(): ReadonlyMap<string, Tensor>
}

/**
 * Runs `steps` forward and backward passes of both, with the same random numbers, and gives what differs first to the bit,
 * such as `step 3: gradient of fc.weight`; undefined where nothing does. Compared are losses, gradients and buffers. Gradients
 * are freed; weights stay as they are.
 */
export function trainingDifference(a: Trainee, b: Trainee, steps: number): string | undefined {
  for (let step = 0; step < steps; step++) {
    const [first, second] = [a, b].map((trainee) => numbersOf(trainee, step)) as [Numbers, Numbers]
    for (const [name, values] of first) {
      const others = second.get(name)
      if (others === undefined || !sameBits(values, others)) return `step ${step}: ${name}`
    }
    if (first.size !== second.size) return `step ${step}: number of gradients`
  }
  return undefined
}

type Numbers = Map<string, ArrayBufferView>

function numbersOf(trainee: Trainee, step: number): Numbers {
  const numbers: Numbers = new Map()
  tidy(() => {
    const loss = seeded(step, () => trainee.loss(step))
    numbers.set('loss', loss.dataSync())
    loss.backward()
  })
  for (const [key, parameter] of trainee.namedParameters()) {
    if (parameter.grad === undefined) continue
    numbers.set(`gradient of ${key}`, parameter.grad.dataSync())
    parameter.grad = undefined
  }
  for (const [key, buffer] of trainee.namedBuffers()) numbers.set(key, buffer.dataSync())
  return numbers
}

function sameBits(a: ArrayBufferView, b: ArrayBufferView): boolean {
  if (a.byteLength !== b.byteLength) return false
  const [x, y] = [a, b].map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)) as [
    Uint8Array,
    Uint8Array,
  ]
  return x.every((byte, i) => byte === y[i])
}
