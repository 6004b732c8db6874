/**
 * A backend against the contract: storage, every case of every op with its gradients, and errors. Expected numbers are
 * the reference backend's in float64. Results are data, so that any test runner can report them.
 */
import {
  ArgumentError,
  type Backend,
  type DType,
  dtypes,
  Generator,
  gather,
  grad,
  rand,
  randn,
  readOptions,
  reference,
  type Tensor,
  tensor,
  tidy,
} from '@convnets/tensor'
import { makeInputs, type OpCase, type OpName } from './cases/case.ts'
import { opCases } from './cases/table.ts'
import { relativeError, type Tolerances, tolerances, within } from './errors.ts'
import { fill } from './fill.ts'

/** One comparison of a conformance run. */
export interface ConformanceResult {
  /** Name of the op, or `storage`, `random`, `errors`. */
  readonly op: string
  /** What was run and what of it was compared: `(2, 3) by (3, 4): gradient 0`. */
  readonly case: string
  readonly passed: boolean
  /** Relative error; NaN where there is nothing to compare. */
  readonly error: number
  /** Why it failed, where that is not the error alone. */
  readonly reason?: string
}

export interface ConformanceOptions {
  /** Float dtype of the backend that is measured. Default float32. */
  readonly dtype?: 'float32' | 'float64'
  /** By op; default: those of the dtype. A backend that convolves by Winograd's transform needs wider ones there. */
  readonly tolerances?: (op: OpName) => Tolerances
  /** Only ops whose name and case match. */
  readonly only?: RegExp
  /** Largest integer that the backend holds exactly in int32. Default 2^31: all of them. */
  readonly largestInteger?: number
  /** Dtypes that the backend does not have. Default: none. */
  readonly without?: readonly DType[]
}

type Limits = Required<Pick<ConformanceOptions, 'largestInteger' | 'without'>>

interface Outcome {
  readonly outputs: readonly {
    readonly data: ArrayLike<number>
    readonly dtype: DType
    readonly shape: readonly number[]
  }[]
  readonly gradients: readonly ArrayLike<number>[]
}

/** Outputs of a case and the gradients of its weighted outputs. */
async function runCase(op: string, c: OpCase, backend: Backend, dtype: 'float32' | 'float64'): Promise<Outcome> {
  const { outputs, gradients, sizes } = tidy(() => {
    const inputs = makeInputs(op, c, backend, dtype)
    if (c.order > 0) for (const x of inputs) x.requiresGrad = true
    const result = c.run(...inputs)
    const outputs = Array.isArray(result) ? (result as readonly Tensor[]) : [result as Tensor]
    const sources = outputs.filter((y) => y.requiresGrad)
    const upstream = sources.map((y, i) =>
      tensor(fill(`upstream.${i}`, y.shape), { shape: y.shape, dtype: y.dtype, backend }),
    )
    const gradients = sources.length === 0 ? [] : grad(sources, inputs, { gradients: upstream, allowUnused: true })
    return {
      outputs: outputs.map((y) => y.detach()),
      gradients: gradients.map((g) => g?.detach()),
      sizes: inputs.map(({ size }) => size),
    }
  })
  try {
    return {
      outputs: await Promise.all(outputs.map(async (y) => ({ data: await y.data(), dtype: y.dtype, shape: y.shape }))),
      gradients: await Promise.all(gradients.map(async (g, i) => (await g?.data()) ?? new Float64Array(sizes[i] ?? 0))),
    }
  } finally {
    for (const t of [...outputs, ...gradients]) t?.dispose()
  }
}

const same = (a: readonly number[], b: readonly number[]): boolean => String(a) === String(b)

async function compareCase(
  op: OpName,
  c: OpCase,
  backend: Backend,
  dtype: 'float32' | 'float64',
  limits: Tolerances,
): Promise<ConformanceResult[]> {
  let actual: Outcome
  const before = backend.memory()
  try {
    actual = await runCase(op, c, backend, dtype)
  } catch (error) {
    return [{ op, case: c.id, passed: false, error: Number.NaN, reason: (error as Error).message }]
  }
  const expected = await runCase(op, c, reference, 'float64')
  const results: ConformanceResult[] = expected.outputs.map((y, i) => {
    const mine = actual.outputs[i]
    const name = expected.outputs.length > 1 ? `${c.id}: output ${i}` : `${c.id}: output`
    if (mine === undefined || !same(mine.shape, y.shape)) {
      const reason = `expected shape (${y.shape.join(', ')}), got (${mine?.shape.join(', ')})`
      return { op, case: name, passed: false, error: Number.NaN, reason }
    }
    const error = relativeError(mine.data, y.data)
    // Positions and truth values are right or wrong, never close.
    return { op, case: name, passed: within(error, dtypes[y.dtype].float ? limits.output : 0), error }
  })
  expected.gradients.forEach((g, i) => {
    const error = relativeError(actual.gradients[i] ?? [], g)
    results.push({ op, case: `${c.id}: gradient ${i}`, passed: within(error, limits.gradient), error })
  })
  const after = backend.memory()
  if (after.buffers !== before.buffers) {
    const reason = `${after.buffers - before.buffers} buffers were left behind`
    results.push({ op, case: `${c.id}: memory`, passed: false, error: Number.NaN, reason })
  }
  return results
}

/** A check that passes or throws. */
async function attempt(op: string, name: string, check: () => void | Promise<void>): Promise<ConformanceResult> {
  try {
    await check()
    return { op, case: name, passed: true, error: 0 }
  } catch (error) {
    return { op, case: name, passed: false, error: Number.NaN, reason: (error as Error).message }
  }
}

function expectThat(condition: boolean, message: string): void {
  if (!condition) throw new Error(message)
}

/** What each dtype must hold; int32 within the integers that the backend is exact in. */
const numbers: Readonly<Record<DType, readonly number[]>> = {
  float32: [0, -0, 1.5, -2.25, Number.POSITIVE_INFINITY, Number.NaN, 1e-42, 3.4e38],
  float64: [0, -0, 1 / 3, -1e300, Number.NEGATIVE_INFINITY, Number.NaN, 5e-324],
  int32: [0, 1, -1, 2147483647, -2147483648],
  uint8: [0, 1, 127, 128, 255],
  bool: [0, 1, 1, 0],
}

async function storageChecks(backend: Backend, { largestInteger, without }: Limits): Promise<ConformanceResult[]> {
  const kinds = (Object.keys(numbers) as DType[]).filter((dtype) => !without.includes(dtype))
  const results: ConformanceResult[] = []
  for (const dtype of kinds) {
    const values = numbers[dtype].filter((v) => dtype !== 'int32' || Math.abs(v) <= largestInteger)
    const result = await attempt('storage', `upload, read and write ${dtype}`, async () => {
      const before = backend.memory()
      const data = new dtypes[dtype].array(values)
      const buffer = backend.upload(dtype, data)
      const read = await backend.read(buffer)
      expectThat(relativeError(read, data) === 0 && read.every((v, i) => Object.is(v, data[i])), `read gave ${read}`)
      expectThat(read !== data && read.constructor === data.constructor, 'read should give an array of its own')
      const { version } = buffer
      backend.write(buffer, data.slice().reverse())
      expectThat(buffer.version > version, 'write should raise the version')
      expectThat(Object.is((await backend.read(buffer))[0], data.at(-1)), 'write should overwrite')
      const during = backend.memory()
      expectThat(during.buffers === before.buffers + 1, `one buffer expected, got ${during.buffers - before.buffers}`)
      expectThat(during.bytes >= before.bytes + data.byteLength, 'memory should count the bytes')
      expectThat(during.reservedBytes >= during.bytes, 'reservedBytes should cover the bytes')
      backend.free(buffer)
      const after = backend.memory()
      expectThat(after.bytes === before.bytes && after.buffers === before.buffers, 'free should give the memory back')
    })
    results.push(result)
  }
  const filled = await attempt('storage', 'fill', async () => {
    for (const dtype of kinds) {
      const buffer = backend.fill(dtype, 37, 1)
      const read = await backend.read(buffer)
      backend.free(buffer)
      expectThat(read.length === 37 && read.every((v) => v === 1), `fill of ${dtype} gave ${read}`)
    }
  })
  return [...results, filled]
}

async function randomChecks(backend: Backend, dtype: 'float32' | 'float64'): Promise<ConformanceResult[]> {
  const results: ConformanceResult[] = []
  for (const [kind, make, tolerance] of [
    ['uniform', rand, 0],
    ['normal', randn, 1e-6],
  ] as const) {
    const draw = async (on: Backend): Promise<ArrayLike<number>> => {
      const generator = new Generator(42)
      generator.take(12)
      using numbers = make([1003], { dtype, backend: on, generator })
      return await numbers.data()
    }
    const error = relativeError(await draw(backend), await draw(reference))
    results.push({ op: 'random', case: kind, passed: within(error, tolerance), error })
  }
  return results
}

async function errorChecks(backend: Backend, dtype: 'float32' | 'float64'): Promise<ConformanceResult[]> {
  const checks = [2, -1].map((index) =>
    attempt('errors', `gather at position ${index} of 2`, () => {
      const before = backend.memory().buffers
      tidy(() => {
        const x = tensor([1, 2], { dtype, backend })
        const at = tensor([0, index], { dtype: 'int32', backend })
        let caught: unknown
        try {
          gather(x, 0, at)
        } catch (error) {
          caught = error
        }
        expectThat(caught instanceof ArgumentError, `an ArgumentError expected, got ${String(caught)}`)
      })
      expectThat(backend.memory().buffers === before, 'a failing kernel should leave no buffer behind')
    }),
  )
  return await Promise.all(checks)
}

/**
 * Runs everything a backend must do and compares with the reference backend: all of `opCases` with their gradients,
 * storage, random numbers and errors. Takes some seconds; nothing is left on the backend.
 *
 * ```ts
 * for (const { op, case: name, passed, error } of await backendConformance(mine)) test(`${op} ${name}`, () => assert(passed))
 * ```
 */
export async function backendConformance(
  backend: Backend,
  options: ConformanceOptions = {},
): Promise<ConformanceResult[]> {
  const {
    dtype,
    tolerances: given,
    only,
    largestInteger,
    without,
  } = readOptions('backendConformance', options, {
    dtype: 'float32',
    tolerances: undefined,
    only: undefined,
    largestInteger: 2 ** 31,
    without: [],
  })
  const limits = given ?? (() => tolerances[dtype])
  const results: ConformanceResult[] = []
  if (only === undefined) {
    results.push(...(await storageChecks(backend, { largestInteger, without })))
    results.push(...(await randomChecks(backend, dtype)), ...(await errorChecks(backend, dtype)))
  }
  for (const [op, cases] of Object.entries(opCases) as [OpName, readonly OpCase[]][]) {
    for (const c of cases) {
      if (only?.test(`${op} ${c.id}`) ?? true) results.push(...(await compareCase(op, c, backend, dtype, limits(op))))
    }
  }
  return results
}
