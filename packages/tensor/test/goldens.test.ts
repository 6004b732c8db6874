import { readFileSync } from 'node:fs'
import {
  backendConformance,
  checkGoldenOp,
  goldenOps,
  parseOpGoldens,
  type Tolerances,
  tolerances,
} from '@convnets/testkit'
import { afterEach, describe, expect, it } from 'vitest'
import { type Backend, getPrecision, reference, setPrecision, wasm } from '../src/index.ts'

const { cases, prefix } = parseOpGoldens(
  readFileSync(new URL('../../../fixtures/goldens/ops.json', import.meta.url), 'utf8'),
)

const arithmetic: [string, Backend, 'float32' | 'float64', 'fast' | 'strict', (op: string) => Tolerances][] = [
  ['the reference backend in float64', reference, 'float64', 'fast', () => tolerances.float64],
  ['the reference backend in float32', reference, 'float32', 'fast', () => tolerances.float32],
  ['wasm', wasm, 'float32', 'strict', () => tolerances.float32],
  [
    "wasm with Winograd's transform",
    wasm,
    'float32',
    'fast',
    (op) => (op.startsWith('conv') ? tolerances.winograd : tolerances.float32),
  ],
  ['wasm in float64', wasm, 'float64', 'fast', () => tolerances.float64],
]

afterEach(() => setPrecision('fast'))

describe.each(arithmetic)('%s', (_, backend, dtype, precision, limits) => {
  it('gives the outputs and gradients of PyTorch', async () => {
    setPrecision(precision)
    expect(getPrecision()).toBe(precision)
    const before = backend.memory()
    const failed: string[] = []
    for (const golden of cases) {
      const result = await checkGoldenOp(golden, { backend, dtype, prefix, tolerances: limits(golden.op) })
      if (!result.passed) failed.push(`${result.id}: ${result.output}, ${[...result.gradients]}`)
    }
    expect(failed).toEqual([])
    expect(backend.memory()).toMatchObject({ buffers: before.buffers, bytes: before.bytes })
  })

  it('conforms to the contract', async () => {
    setPrecision(precision)
    const results = await backendConformance(backend, { dtype, tolerances: limits })
    const failed = results.filter(({ passed }) => !passed)
    expect(failed.map(({ op, case: name, error, reason }) => `${op} ${name}: ${reason ?? error}`)).toEqual([])
    expect(results.length).toBeGreaterThan(1500)
  })
})

it('all golden cases are of ops that can be run, and all those ops have cases', () => {
  expect(cases.length).toBe(73)
  expect(new Set(cases.map(({ op }) => op))).toEqual(new Set(goldenOps))
})
