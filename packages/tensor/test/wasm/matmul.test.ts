import { describe, expect, it } from 'vitest'
import type { Buffer, MatmulSpec } from '../../src/backends/backend.ts'
import { matmul as reference } from '../../src/backends/reference/matmul.ts'
import { matmulKernels } from '../../src/backends/wasm/kernels/matmul.ts'
import { chosenTiles, tileCandidates, tileShape, turboCandidates } from '../../src/backends/wasm/kernels/tile-choice.ts'
import { Generator } from '../../src/random.ts'
import { between, expectClose, forSeeds, normals } from '../numbers.ts'
import { GuardedEngine } from './guards.ts'
import { engine, expectSameBits, guarded, plain, upload } from './kernels.ts'

const host = new GuardedEngine(96)
const { matmul } = matmulKernels(host.engine, host.plain)

function randomSpec(random: Generator, m: number, n: number, k: number): MatmulSpec {
  const batch = random.integer(3) === 0 ? between(random, 2, 4) : 1
  const flag = () => random.integer(2) === 0
  // Some share B among all products, some leave gaps between the matrices.
  const [gapA, gapB, shared] = [random.integer(3), random.integer(3), flag()]
  return {
    m,
    n,
    k,
    transA: flag(),
    transB: flag(),
    offsetsA: Array.from({ length: batch }, (_, i) => gapA + i * (m * k + gapA)),
    offsetsB: Array.from({ length: batch }, (_, i) => gapB + (shared ? 0 : i * (n * k + gapB))),
  }
}

function check(random: Generator, spec: MatmulSpec): void {
  host.case(() => {
    const { m, n, k, offsetsA, offsetsB } = spec
    const a = host.normals(random, offsetsA.at(-1)! + m * k)
    const b = host.normals(random, offsetsB.at(-1)! + n * k)
    const bias = random.integer(2) === 0 ? host.normals(random, n) : null
    const expected = new Float64Array(offsetsA.length * m * n)
    reference(host.array(a), host.array(b), bias && host.array(bias), spec, expected)
    expectClose(host.keep(matmul(a, b, bias, spec)), expected, 2e-6)
  })
}

describe('matmul', () => {
  it('equals the reference for products of many rows', () => {
    forSeeds(500, (random) => {
      check(random, randomSpec(random, between(random, 9, 70), between(random, 1, 70), between(random, 1, 60)))
    })
  })

  it('equals the reference for products of few rows', () => {
    forSeeds(500, (random) => {
      check(random, randomSpec(random, between(random, 1, 8), between(random, 1, 90), between(random, 1, 60)))
    })
  })

  it('equals the reference where depth and width are cut into blocks', () => {
    forSeeds(10, (random) => {
      check(random, randomSpec(random, between(random, 60, 150), between(random, 20, 100), between(random, 500, 1200)))
    })
  })

  it('equals the reference with every tile that an engine may choose', () => {
    const chosen = tileShape(host.engine)
    for (const shape of [...tileCandidates, ...turboCandidates]) {
      chosenTiles.set(host.engine, shape)
      forSeeds(40, (random) => {
        check(random, randomSpec(random, between(random, 9, 40), between(random, 1, 50), between(random, 1, 600)))
      })
    }
    chosenTiles.set(host.engine, chosen)
  })

  it('keeps a matrix packed that is multiplied by again, as long as it does not change', () => {
    const random = new Generator(3)
    const multiply = guarded(matmulKernels(engine, plain)).matmul
    const [a, b] = [20 * 40, 30 * 40].map((length) => upload(normals(random, length))) as [Buffer, Buffer]
    const kept = (): number => engine.memory.derivedBytes
    const before = kept()
    const run = (n: number, k: number): number[] => {
      const spec = { m: 20, n, k, transA: false, transB: true, offsetsA: [0], offsetsB: [0] }
      const expected = new Float64Array(20 * n)
      reference(engine.array(a), engine.array(b), null, spec, expected)
      const out = multiply(a, b, null, spec)
      const numbers = [...engine.array(out)]
      engine.free(out)
      expectClose(numbers, expected, 2e-6)
      return numbers
    }
    const first = run(30, 40)
    expect(run(30, 40)).toEqual(first)
    expect(kept()).toBe(before)
    expect(run(30, 40)).toEqual(first)
    expect(kept()).toBeGreaterThanOrEqual(before + 30 * 40 * 4)
    // The same numbers as other matrices.
    const others = [
      [40, 30],
      [20, 40],
      [30, 40],
    ] as const
    for (const [n, k] of others) for (let i = 0; i < 4; i++) run(n, k)
    engine.array(b)[5]! += 1
    b.version++
    const next = run(30, 40)
    expect(next).not.toEqual(first)
    for (let i = 0; i < 3; i++) expect(run(30, 40)).toEqual(next)
    for (const buffer of [a, b]) engine.free(buffer)
    expect(kept()).toBe(before)
  })

  it('gives the bias, or zeros, for an empty depth, and nothing for no rows', () => {
    const random = new Generator(0)
    check(random, { m: 3, n: 5, k: 0, transA: false, transB: true, offsetsA: [0, 0], offsetsB: [0, 0] })
    check(random, { m: 0, n: 5, k: 2, transA: false, transB: true, offsetsA: [0], offsetsB: [0] })
    check(random, { m: 2, n: 0, k: 2, transA: true, transB: false, offsetsA: [0], offsetsB: [0] })
  })

  it('hands float64 to the plain loops', () => {
    const a = host.plain.matmul
    const buffers = [2, 3].map((value) => {
      const buffer = host.engine.alloc('float64', 1)
      host.engine.array(buffer).fill(value)
      return buffer
    })
    const spec = { m: 1, n: 1, k: 1, transA: false, transB: false, offsetsA: [0], offsetsB: [0] }
    const out = matmul(buffers[0]!, buffers[1]!, null, spec)
    expect(a).toBeTypeOf('function')
    expect([out.dtype, ...host.engine.array(out)]).toEqual(['float64', 6])
    for (const buffer of [...buffers, out]) host.engine.free(buffer)
  })

  it('gives the same bits for any number of threads', () => {
    const family = guarded(matmulKernels(engine, plain))
    const random = new Generator(1)
    for (const [m, n, k] of [
      [3, 700, 300],
      [130, 90, 700],
      [64, 1000, 64],
      [700, 20, 40],
    ] as const) {
      for (const transB of [false, true]) {
        const [a, b] = [upload(normals(random, m * k)), upload(normals(random, n * k))]
        const spec = { m, n, k, transA: transB, transB, offsetsA: [0], offsetsB: [0] }
        expectSameBits(() => family.matmul(a, b, null, spec))
        engine.free(a)
        engine.free(b)
      }
    }
  })
})
