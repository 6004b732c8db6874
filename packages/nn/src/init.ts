/**
 * Initialisers. They overwrite a tensor in place and give it back; none is recorded for a gradient. Random numbers are only
 * drawn when somebody looks at the tensor, so that weights which a checkpoint overwrites cost nothing.
 *
 * Random numbers come from `generator`, or from the default generator: `seeded(7, () => new Linear(3, 4))` gives the same
 * layer every time. Elements are drawn in memory order (rank 4: O, kh, kw, I), so the numbers of a seed differ from
 * PyTorch's; their distribution is the same.
 */
import {
  ArgumentError,
  checkNumber,
  defaultGenerator,
  draw,
  type Expr,
  f,
  full,
  type Generator,
  readOptions,
  ShapeError,
  type Tensor,
  tidy,
} from '@convnets/tensor'

export interface RandomInit {
  /** Source of the numbers. Default: the default generator. */
  readonly generator?: Generator
}

/** Overwrites `t` by a formula of fresh random numbers (operand 1). */
function redraw(
  t: Tensor,
  kind: 'uniform' | 'normal',
  formula: Expr,
  params: readonly number[],
  generator: Generator,
): Tensor {
  draw(t, kind, formula, params, generator)
  return t
}

/** The default of what all have as an option: the default generator at the time of the call. */
const random = (): { readonly generator: Generator } => ({ generator: defaultGenerator() })

const [x, p0, p1, p2, p3] = [f.input(1), f.param(0), f.param(1), f.param(2), f.param(3)]

/** Every element `value`. */
export function constant_(t: Tensor, value: number): Tensor {
  tidy(() => void t.assign_(full(t.shape, value, { dtype: t.dtype, backend: t.backend })))
  return t
}

/** Uniform in [low, high). PyTorch's defaults: 0 and 1. */
export function uniform_(t: Tensor, low = 0, high = 1, options: RandomInit = {}): Tensor {
  const { generator } = readOptions('init.uniform_', options, random())
  checkNumber('init.uniform_', 'low', low, -Infinity)
  checkNumber('init.uniform_', 'high', high, low)
  return redraw(t, 'uniform', f.add(p0, f.mul(p1, x)), [low, high - low], generator)
}

/** Normal with the given mean (0) and standard deviation (1). */
export function normal_(t: Tensor, mean = 0, std = 1, options: RandomInit = {}): Tensor {
  const { generator } = readOptions('init.normal_', options, random())
  checkNumber('init.normal_', 'mean', mean, -Infinity)
  checkNumber('init.normal_', 'std', std, 0)
  return redraw(t, 'normal', f.add(p0, f.mul(p1, x)), [mean, std], generator)
}

/**
 * Inverse error function, relative error 4e-7 (Giles, "Approximating the erfinv function", 2010, single precision).
 * Also right at the ends of an interval that is cut off, where the argument comes near -1 or 1.
 */
function erfinv(u: Expr): Expr {
  const central = [
    2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
  ]
  const tail = [
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
  ]
  const horner = (at: Expr, coefficients: readonly number[]): Expr =>
    coefficients.slice(1).reduce<Expr>((sum, c) => f.add(c, f.mul(sum, at)), f.const(coefficients[0] ?? 0))
  const w = f.neg(f.log(f.mul(f.sub(1, u), f.add(1, u))))
  return f.mul(u, f.select(f.lt(w, 5), horner(f.sub(w, 2.5), central), horner(f.sub(f.sqrt(w), 3), tail)))
}

export interface TruncatedNormal extends RandomInit {
  /** Default 0. */
  readonly mean?: number
  /** Default 1. */
  readonly std?: number
  /** Bounds, as values (not in standard deviations, as PyTorch). Default -2. */
  readonly low?: number
  /** Default 2. */
  readonly high?: number
}

/** Distribution function of the standard normal distribution: series of erf near 0, continued fraction of erfc beyond. */
function normalCdf(z: number): number {
  const t = Math.abs(z) / Math.SQRT2
  let tail: number
  if (t < 3) {
    let term = t
    let sum = t
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= (-t * t) / n
      sum += term / (2 * n + 1)
    }
    tail = 0.5 - sum / Math.sqrt(Math.PI)
  } else {
    let fraction = t
    for (let n = 60; n > 0; n--) fraction = t + n / 2 / fraction
    tail = Math.exp(-t * t) / Math.sqrt(Math.PI) / fraction / 2
  }
  return z > 0 ? 1 - tail : tail
}

/** Normal, cut off at `low` and `high`. PyTorch's `trunc_normal_`. */
export function truncatedNormal_(t: Tensor, options: TruncatedNormal = {}): Tensor {
  const op = 'init.truncatedNormal_'
  const defaults = { mean: 0, std: 1, low: -2, high: 2, ...random() }
  const { mean, std, low, high, generator } = readOptions(op, options, defaults)
  checkNumber(op, 'mean', mean, -Infinity)
  checkNumber(op, 'std', std, Number.MIN_VALUE)
  checkNumber(op, 'low', low, -Infinity)
  checkNumber(op, 'high', high, low)
  const from = 2 * normalCdf((low - mean) / std) - 1
  const to = 2 * normalCdf((high - mean) / std) - 1
  const z = f.mul(Math.SQRT2, erfinv(f.add(f.param(4), f.mul(f.param(5), x))))
  const value = f.min(f.max(f.add(p0, f.mul(p1, z)), p2), p3)
  return redraw(t, 'uniform', value, [mean, std, low, high, from, to - from], generator)
}

/** Inputs and outputs per cell of a weight (out, in, ...): what the variance of a layer's output depends on. */
export function fans(t: Tensor): { readonly fanIn: number; readonly fanOut: number } {
  const [out, inputs, ...rest] = t.shape
  if (out === undefined || inputs === undefined) {
    throw new ShapeError(`init.fans: t expects at least rank 2 (out, in, ...), got (${t.shape.join(', ')})`)
  }
  const field = rest.reduce((product, extent) => product * extent, 1)
  return { fanIn: inputs * field, fanOut: out * field }
}

/** Functions that follow a layer, whose effect on the variance `gain` makes up for. */
export type Nonlinearity = 'linear' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu'

/** Recommended gain of a nonlinearity. PyTorch's `calculate_gain`; `slope` is the negative slope of leakyRelu. */
export function gain(nonlinearity: Nonlinearity, slope = 0.01): number {
  switch (nonlinearity) {
    case 'linear':
    case 'sigmoid':
      return 1
    case 'tanh':
      return 5 / 3
    case 'relu':
      return Math.SQRT2
    case 'leakyRelu':
      return Math.sqrt(2 / (1 + slope ** 2))
    case 'selu':
      return 3 / 4
    default:
      throw new ArgumentError(
        `init.gain: nonlinearity expects linear, sigmoid, tanh, relu, leakyRelu or selu, got ${String(nonlinearity satisfies never)}`,
      )
  }
}

export interface KaimingInit extends RandomInit {
  /** Keeps the variance of the outputs ('fanIn', default) or of the gradients ('fanOut'). */
  readonly mode?: 'fanIn' | 'fanOut'
  /** Default 'leakyRelu', which with the default slope is 'relu'. */
  readonly nonlinearity?: Nonlinearity
  /** Negative slope of leakyRelu. Default 0. */
  readonly slope?: number
}

/** gain / sqrt(fan) of He et al., "Delving deep into rectifiers", 2015, and where the numbers come from. */
function readKaiming(op: string, t: Tensor, options: KaimingInit): { std: number; generator: Generator } {
  const defaults = { mode: 'fanIn', nonlinearity: 'leakyRelu', slope: 0, ...random() } as const
  const { mode, nonlinearity, slope, generator } = readOptions(op, options, defaults)
  if (mode !== 'fanIn' && mode !== 'fanOut') {
    throw new ArgumentError(`${op}: mode expects 'fanIn' or 'fanOut', got ${String(mode)}`)
  }
  checkNumber(op, 'slope', slope, -Infinity)
  const fan = fans(t)[mode]
  return { std: fan === 0 ? 0 : gain(nonlinearity, slope) / Math.sqrt(fan), generator }
}

/** Uniform in +- gain sqrt(3 / fan). He et al. 2015. */
export function kaimingUniform_(t: Tensor, options: KaimingInit = {}): Tensor {
  const { std, generator } = readKaiming('init.kaimingUniform_', t, options)
  return uniform_(t, -Math.sqrt(3) * std, Math.sqrt(3) * std, { generator })
}

/** Normal with standard deviation gain / sqrt(fan). He et al. 2015. */
export function kaimingNormal_(t: Tensor, options: KaimingInit = {}): Tensor {
  const { std, generator } = readKaiming('init.kaimingNormal_', t, options)
  return normal_(t, 0, std, { generator })
}

export interface XavierInit extends RandomInit {
  /** Default 1; see `gain`. */
  readonly gain?: number
}

function readXavier(op: string, t: Tensor, options: XavierInit): { std: number; generator: Generator } {
  const { gain, generator } = readOptions(op, options, { gain: 1, ...random() })
  const { fanIn, fanOut } = fans(t)
  checkNumber(op, 'gain', gain, 0)
  return { std: fanIn + fanOut === 0 ? 0 : gain * Math.sqrt(2 / (fanIn + fanOut)), generator }
}

/** Uniform in +- gain sqrt(6 / (fanIn + fanOut)). Glorot and Bengio 2010. */
export function xavierUniform_(t: Tensor, options: XavierInit = {}): Tensor {
  const { std, generator } = readXavier('init.xavierUniform_', t, options)
  return uniform_(t, -Math.sqrt(3) * std, Math.sqrt(3) * std, { generator })
}

/** Normal with standard deviation gain sqrt(2 / (fanIn + fanOut)). Glorot and Bengio 2010. */
export function xavierNormal_(t: Tensor, options: XavierInit = {}): Tensor {
  const { std, generator } = readXavier('init.xavierNormal_', t, options)
  return normal_(t, 0, std, { generator })
}

/** Orthonormal rows of `rows` x `columns` numbers (rows <= columns), by Gram and Schmidt, each row twice. */
function orthonormalRows(rows: number, columns: number, generator: Generator): Float64Array[] {
  const basis: Float64Array[] = []
  while (basis.length < rows) {
    const row = Float64Array.from({ length: columns }, () => generator.normal())
    for (const former of [...basis, ...basis]) {
      let dot = 0
      for (let i = 0; i < columns; i++) dot += (row[i] ?? 0) * (former[i] ?? 0)
      for (let i = 0; i < columns; i++) row[i] = (row[i] ?? 0) - dot * (former[i] ?? 0)
    }
    const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
    // A row that lies (numerically) in the span of the others says nothing; another one is drawn.
    if (norm > 1e-8) basis.push(row.map((value) => value / norm))
  }
  return basis
}

/**
 * A (semi-)orthogonal matrix: rows (or columns, where there are more rows) of `t` seen as (out, rest) are orthonormal,
 * times `gain`. Saxe et al. 2014.
 */
export function orthogonal_(t: Tensor, options: XavierInit = {}): Tensor {
  const op = 'init.orthogonal_'
  const { gain, generator } = readOptions(op, options, { gain: 1, ...random() })
  if (t.rank < 2) throw new ShapeError(`${op}: t expects at least rank 2 (out, in, ...), got (${t.shape.join(', ')})`)
  checkNumber(op, 'gain', gain, -Infinity)
  const rows = t.shape[0] ?? 0
  if (t.size === 0) return t
  const columns = t.size / rows
  const wide = rows <= columns
  const basis = orthonormalRows(Math.min(rows, columns), Math.max(rows, columns), generator)
  const values = Float64Array.from({ length: t.size }, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    return gain * ((wide ? basis[row]?.[column] : basis[column]?.[row]) ?? 0)
  })
  return t.assign_(values)
}
