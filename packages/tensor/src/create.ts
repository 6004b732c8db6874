/** Making tensors: from numbers, arrays and images, or filled. */
import type { Backend, Matrices } from './backends/backend.ts'
import { liveTensors, Storage } from './core.ts'
import { defaultBackend } from './default-backend.ts'
import { type DType, dtypes, isDType, isFloat, type TypedArray } from './dtype.ts'
import { ArgumentError, DTypeError, ShapeError } from './errors.ts'
import { toMemory } from './layout.ts'
import { checkOptionNames, optionNames } from './options.ts'
import { Generator, takeFrom } from './random.ts'
import { checkShape, type Shape, show, sizeOf } from './shape.ts'
import { type NestedArray, Tensor } from './tensor.ts'

export interface TensorOptions {
  /** Default: float32, or what the values say (typed arrays, booleans). */
  readonly dtype?: DType
  /** Default: the default backend. */
  readonly backend?: Backend
  /** Makes the tensor a leaf that collects its gradient. Default false. */
  readonly requiresGrad?: boolean
}

const forAll = { dtype: true, backend: true, requiresGrad: true } as const
const tensorOptions = optionNames<TensorOptions>(forAll)
const shapedOptions = optionNames<TensorOptions & { shape?: Shape }>({ ...forAll, shape: true })

function checkDTypeName(op: string, dtype: DType): DType {
  if (!isDType(dtype))
    throw new DTypeError(`${op}: dtype expects one of ${Object.keys(dtypes).join(', ')}, got ${String(dtype)}`)
  return dtype
}

/** The tensor on a buffer of `data`, which is in memory order or matrices to be transposed. */
function fromMemory(data: TypedArray, shape: Shape, dtype: DType, backend: Backend, matrices?: Matrices): Tensor {
  return new Tensor(new Storage(backend, backend.upload(dtype, data, matrices)), shape, dtype)
}

function finish(op: string, make: (backend: Backend) => Tensor, options: TensorOptions): Tensor {
  const result = make(options.backend ?? defaultBackend())
  if (options.requiresGrad !== true) return result
  if (!isFloat(result.dtype)) {
    const { dtype } = result
    result.dispose()
    throw new DTypeError(`${op}: requiresGrad expects a float dtype, got ${dtype}`)
  }
  result.requiresGrad = true
  return result
}

function shapeOf(values: NestedArray): number[] {
  const shape: number[] = []
  for (let level: NestedArray | undefined = values; Array.isArray(level); level = level[0] as NestedArray | undefined) {
    shape.push(level.length)
  }
  return shape
}

function flattenInto(values: NestedArray, shape: Shape, depth: number, out: number[]): void {
  if (depth === shape.length) {
    if (Array.isArray(values)) throw new ShapeError(`tensor: values expects nesting of depth ${depth}, got more`)
    if (typeof values !== 'number' && typeof values !== 'boolean') {
      throw new ArgumentError(
        `tensor: values expects numbers or booleans, got ${values === null ? 'null' : typeof values}`,
      )
    }
    out.push(Number(values))
    return
  }
  if (!Array.isArray(values) || values.length !== shape[depth]) {
    const got = Array.isArray(values) ? `length ${values.length}` : typeof values
    throw new ShapeError(`tensor: values expects arrays of equal length ${shape[depth]} at depth ${depth}, got ${got}`)
  }
  for (const value of values) flattenInto(value, shape, depth + 1, out)
}

function dtypeOfArray(values: TypedArray): DType {
  if (values instanceof Float32Array) return 'float32'
  if (values instanceof Float64Array) return 'float64'
  if (values instanceof Int32Array) return 'int32'
  return 'uint8'
}

function isTypedArray(values: unknown): values is TypedArray {
  return (
    values instanceof Float32Array ||
    values instanceof Float64Array ||
    values instanceof Int32Array ||
    values instanceof Uint8Array ||
    values instanceof Uint8ClampedArray
  )
}

/**
 * A tensor of numbers: one number, nested arrays, or a typed array in logical (row-major) order with a `shape`.
 *
 * The dtype is float32 for numbers, bool for booleans and the array's own for typed arrays, unless given. Values are
 * copied.
 *
 * @throws ShapeError for ragged nesting or a shape that does not fit, DTypeError for an unknown dtype.
 */
export function tensor(
  values: NestedArray | TypedArray | Uint8ClampedArray,
  options: TensorOptions & { readonly shape?: Shape } = {},
): Tensor {
  checkOptionNames('tensor', options, shapedOptions)
  let data: ArrayLike<number>
  let inferred: DType
  let shape: Shape
  if (isTypedArray(values)) {
    data = values
    inferred = dtypeOfArray(values)
    shape = options.shape ?? [values.length]
  } else if (
    ArrayBuffer.isView(values) ||
    typeof values === 'bigint' ||
    typeof values === 'string' ||
    values === null ||
    values === undefined
  ) {
    throw new ArgumentError(
      `tensor: values expects numbers, nested arrays or a typed array, got ${Object.prototype.toString.call(values).slice(8, -1)}`,
    )
  } else {
    const own = shapeOf(values)
    const flat: number[] = []
    flattenInto(values, own, 0, flat)
    data = flat
    let first: NestedArray | undefined = values
    while (Array.isArray(first)) first = first[0] as NestedArray | undefined
    inferred = typeof first === 'boolean' ? 'bool' : 'float32'
    shape = options.shape ?? own
  }
  const dtype = options.dtype === undefined ? inferred : checkDTypeName('tensor', options.dtype)
  checkShape('tensor', shape)
  if (sizeOf(shape) !== data.length) {
    throw new ShapeError(`tensor: shape ${show(shape)} expects ${sizeOf(shape)} values, got ${data.length}`)
  }
  const typed = dtype === inferred && isTypedArray(data) ? toPlain(data) : convert(data, dtype)
  return finish('tensor', (backend) => fromMemory(typed, shape, dtype, backend, toMemory(shape)), options)
}

function toPlain(data: TypedArray): TypedArray {
  return data instanceof Uint8ClampedArray ? new Uint8Array(data) : data
}

function convert(data: ArrayLike<number>, dtype: DType): TypedArray {
  return dtype === 'bool' ? Uint8Array.from(data, (value) => (value !== 0 ? 1 : 0)) : new dtypes[dtype].array(data)
}

/**
 * Images as (N, C, H, W) from channels-last data, which is the order in memory, so nothing is rearranged.
 *
 * @param shape [N, H, W, C], or [H, W, C] for one image (N = 1).
 */
export function fromChannelsLast(
  data: TypedArray | Uint8ClampedArray,
  shape: Shape,
  options: TensorOptions = {},
): Tensor {
  const op = 'fromChannelsLast'
  checkOptionNames(op, options, tensorOptions)
  const [batch, height, width, channels] = shape.length === 3 ? [1, ...shape] : shape
  if (
    batch === undefined ||
    height === undefined ||
    width === undefined ||
    channels === undefined ||
    shape.length > 4
  ) {
    throw new ShapeError(`${op}: shape expects [N, H, W, C] or [H, W, C], got ${show(shape)}`)
  }
  checkShape(op, shape)
  if (!isTypedArray(data)) throw new ArgumentError(`${op}: data expects a typed array, got ${typeof data}`)
  if (sizeOf(shape) !== data.length)
    throw new ShapeError(`${op}: shape ${show(shape)} expects ${sizeOf(shape)} values, got ${data.length}`)
  const inferred = dtypeOfArray(data as TypedArray)
  const dtype = options.dtype === undefined ? inferred : checkDTypeName(op, options.dtype)
  const typed = dtype === inferred ? toPlain(data as TypedArray) : convert(data as TypedArray, dtype)
  return finish(op, (backend) => fromMemory(typed, [batch, channels, height, width], dtype, backend), options)
}

function constant(op: string, shape: Shape, value: number, options: TensorOptions): Tensor {
  checkOptionNames(op, options, tensorOptions)
  checkShape(op, shape)
  const dtype = checkDTypeName(op, options.dtype ?? 'float32')
  if (typeof value !== 'number') throw new ArgumentError(`${op}: value expects a number, got ${typeof value}`)
  return finish(
    op,
    (backend) => new Tensor(new Storage(backend, backend.fill(dtype, sizeOf(shape), value)), [...shape], dtype),
    options,
  )
}

/** A tensor of one value. */
export function full(shape: Shape, value: number, options: TensorOptions = {}): Tensor {
  return constant('full', shape, value, options)
}

/** A tensor of zeros. */
export function zeros(shape: Shape, options: TensorOptions = {}): Tensor {
  return constant('zeros', shape, 0, options)
}

/** A tensor of ones. */
export function ones(shape: Shape, options: TensorOptions = {}): Tensor {
  return constant('ones', shape, 1, options)
}

/** Zeros of x's shape, dtype and backend. */
export function zerosLike(x: Tensor): Tensor {
  return full(x.shape, 0, { dtype: x.dtype, backend: x.backend })
}

/** Ones of x's shape, dtype and backend. */
export function onesLike(x: Tensor): Tensor {
  return full(x.shape, 1, { dtype: x.dtype, backend: x.backend })
}

/**
 * Numbers start, start + step, ... below (above, for a negative step) end: int32 where all three are integers, else
 * float32, unless `dtype` says otherwise.
 */
export function arange(start: number, end: number, step = 1, options: TensorOptions = {}): Tensor {
  checkOptionNames('arange', options, tensorOptions)
  if (!Number.isFinite(start) || !Number.isFinite(end) || !Number.isFinite(step) || step === 0) {
    throw new ArgumentError(`arange: expects finite numbers and a step other than 0, got ${start}, ${end}, ${step}`)
  }
  const length = Math.max(0, Math.ceil((end - start) / step))
  const values = Array.from({ length }, (_, i) => start + i * step)
  const dtype = [start, end, step].every(Number.isInteger) ? 'int32' : 'float32'
  return tensor(values, { dtype, ...options, shape: [length] })
}

export interface RandomOptions extends TensorOptions {
  /** Source of the numbers. Default: a generator of `seed`, or the default generator. */
  readonly generator?: Generator
  /** Seed of a generator for this call alone. */
  readonly seed?: number
}

const randomOptions = optionNames<RandomOptions>({ ...forAll, generator: true, seed: true })

function random(op: string, kind: 'uniform' | 'normal', shape: Shape, options: RandomOptions): Tensor {
  checkOptionNames(op, options, randomOptions)
  checkShape(op, shape)
  const dtype = checkDTypeName(op, options.dtype ?? 'float32')
  if (dtype !== 'float32' && dtype !== 'float64')
    throw new DTypeError(`${op}: dtype expects float32 or float64, got ${dtype}`)
  const { seed, generator } = options
  // The same numbers in every pass of a recorded function.
  const own = seed === undefined || generator !== undefined ? undefined : new Generator(seed).state()
  return finish(
    op,
    (backend) => {
      const position = own ?? takeFrom(generator, sizeOf(shape))
      const buffer = backend.random(kind, dtype, sizeOf(shape), position)
      return new Tensor(new Storage(backend, buffer), [...shape], dtype)
    },
    options,
  )
}

/** Uniform random numbers in [0, 1). Elements are drawn in memory order. */
export function rand(shape: Shape, options: RandomOptions = {}): Tensor {
  return random('rand', 'uniform', shape, options)
}

/** Standard normal random numbers. Elements are drawn in memory order. */
export function randn(shape: Shape, options: RandomOptions = {}): Tensor {
  return random('randn', 'normal', shape, options)
}

/** What is alive: tensor handles over all backends, and the memory of one backend, in bytes. */
export interface MemoryReport {
  /** Tensor handles that were not freed, those saved for a backward pass included. */
  readonly tensors: number
  readonly buffers: number
  readonly bytes: number
  /** Largest `bytes` since the start or `resetPeakMemory`. */
  readonly peakBytes: number
  /** All bytes in use: buffers with what rounding adds, what kernels derived from weights, and workspace. */
  readonly heldBytes: number
  /** Largest `heldBytes` since the start or `resetPeakMemory`. */
  readonly peakHeldBytes: number
  /** Bytes of packed and transformed weights, which live as long as the weights do. */
  readonly derivedBytes: number
  /** Bytes of the workspace that kernels share. */
  readonly workspaceBytes: number
  /** Bytes taken from the system, free blocks included. */
  readonly reservedBytes: number
}

/** What is alive now. */
export function memory(backend: Backend = defaultBackend()): MemoryReport {
  return { tensors: liveTensors(), ...backend.memory() }
}

/** Starts a new measurement of `peakBytes` and `peakHeldBytes`. */
export function resetPeakMemory(backend: Backend = defaultBackend()): void {
  backend.resetPeak()
}
