/** Activations as layers: any shape to the same shape. The formulas stand with the ops of the same names. */
import {
  ArgumentError,
  checkNumber,
  elu,
  gelu,
  hardsigmoid,
  hardswish,
  leakyRelu,
  logSoftmax,
  mish,
  readOptions,
  relu,
  relu6,
  sigmoid,
  silu,
  softmax,
  softplus,
  type Tensor,
  tanh,
} from '@convnets/tensor'
import { type Layer, Module } from '../module.ts'

/** max(x, 0) */
export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return relu(x)
  }
}

/** min(max(x, 0), 6) */
export class ReLU6 extends Module {
  forward(x: Tensor): Tensor {
    return relu6(x)
  }
}

/** 1 / (1 + e^-x) */
export class Sigmoid extends Module {
  forward(x: Tensor): Tensor {
    return sigmoid(x)
  }
}

/** Hyperbolic tangent. */
export class Tanh extends Module {
  forward(x: Tensor): Tensor {
    return tanh(x)
  }
}

/** x sigmoid(x), also called swish. */
export class SiLU extends Module {
  forward(x: Tensor): Tensor {
    return silu(x)
  }
}

/** x tanh(softplus(x)) */
export class Mish extends Module {
  forward(x: Tensor): Tensor {
    return mish(x)
  }
}

/** x Phi(x); `approximate: 'tanh'` for the tanh formula. */
export class GELU extends Module {
  readonly approximate: 'none' | 'tanh'

  constructor(options: { readonly approximate?: 'none' | 'tanh' } = {}) {
    super()
    this.approximate = readOptions('GELU', options, { approximate: 'none' }).approximate
    if (this.approximate !== 'none' && this.approximate !== 'tanh') {
      throw new ArgumentError(`GELU: approximate expects 'none' or 'tanh', got ${String(this.approximate)}`)
    }
  }

  forward(x: Tensor): Tensor {
    return gelu(x, { approximate: this.approximate })
  }

  override describe(): string {
    return this.approximate === 'tanh' ? "approximate: 'tanh'" : ''
  }
}

/** x hardsigmoid(x) */
export class Hardswish extends Module {
  forward(x: Tensor): Tensor {
    return hardswish(x)
  }
}

/** max(0, min(1, x / 6 + 1 / 2)) */
export class Hardsigmoid extends Module {
  forward(x: Tensor): Tensor {
    return hardsigmoid(x)
  }
}

/** The ops of layers that are nothing but one, by their `forward`: a hook or a subclass has another. */
const ops: ReadonlyMap<unknown, (x: Tensor) => Tensor> = new Map(
  [
    [ReLU, relu] as const,
    [ReLU6, relu6] as const,
    [Sigmoid, sigmoid] as const,
    [Tanh, tanh] as const,
    [SiLU, silu] as const,
    [Mish, mish] as const,
    [Hardswish, hardswish] as const,
    [Hardsigmoid, hardsigmoid] as const,
  ].map(([layer, op]) => [layer.prototype.forward, op]),
)

/** The elementwise op that a layer is, if it is one without parameters and computes as its class does. */
export function opOf(layer: Layer | undefined): ((x: Tensor) => Tensor) | undefined {
  return ops.get(layer?.forward)
}

/** x where positive, else `negativeSlope` (0.01) times x. */
export class LeakyReLU extends Module {
  readonly negativeSlope: number

  constructor(negativeSlope = 0.01) {
    super()
    this.negativeSlope = checkNumber('LeakyReLU', 'negativeSlope', negativeSlope, -Infinity)
  }

  forward(x: Tensor): Tensor {
    return leakyRelu(x, this.negativeSlope)
  }

  override describe(): string {
    return `${this.negativeSlope}`
  }
}

/** x where positive, else `alpha` (1) times e^x - 1. */
export class ELU extends Module {
  readonly alpha: number

  constructor(alpha = 1) {
    super()
    this.alpha = checkNumber('ELU', 'alpha', alpha, -Infinity)
  }

  forward(x: Tensor): Tensor {
    return elu(x, this.alpha)
  }

  override describe(): string {
    return `${this.alpha}`
  }
}

/** log(1 + e^(beta x)) / beta; x itself where beta x exceeds `threshold`. Defaults 1 and 20. */
export class Softplus extends Module {
  readonly beta: number
  readonly threshold: number

  constructor(options: { readonly beta?: number; readonly threshold?: number } = {}) {
    super()
    const { beta, threshold } = readOptions('Softplus', options, { beta: 1, threshold: 20 })
    this.beta = checkNumber('Softplus', 'beta', beta, Number.MIN_VALUE)
    this.threshold = checkNumber('Softplus', 'threshold', threshold, -Infinity)
  }

  forward(x: Tensor): Tensor {
    const { beta, threshold } = this
    return softplus(x, { beta, threshold })
  }

  override describe(): string {
    return `beta: ${this.beta}, threshold: ${this.threshold}`
  }
}

function checkDim(layer: string, dim: number): number {
  if (!Number.isInteger(dim)) throw new ArgumentError(`${layer}: dim expects an integer, got ${dim}`)
  return dim
}

/** e^x / sum(e^x) along axis `dim`. Default -1. */
export class Softmax extends Module {
  readonly dim: number

  constructor(options: { readonly dim?: number } = {}) {
    super()
    this.dim = checkDim('Softmax', readOptions('Softmax', options, { dim: -1 }).dim)
  }

  forward(x: Tensor): Tensor {
    return softmax(x, { dim: this.dim })
  }

  override describe(): string {
    return `dim: ${this.dim}`
  }
}

/** Logarithm of the softmax along axis `dim`. Default -1. */
export class LogSoftmax extends Module {
  readonly dim: number

  constructor(options: { readonly dim?: number } = {}) {
    super()
    this.dim = checkDim('LogSoftmax', readOptions('LogSoftmax', options, { dim: -1 }).dim)
  }

  forward(x: Tensor): Tensor {
    return logSoftmax(x, { dim: this.dim })
  }

  override describe(): string {
    return `dim: ${this.dim}`
  }
}
