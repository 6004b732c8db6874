/** Forms of one product of matrices as raw kernels of gpu.js: what each gains in each mode. */
import { sizes, type Timing } from './shapes.ts'

type Result = { toArray?(): unknown; delete?(): void }
type Kernel = ((...args: unknown[]) => Promise<Result>) & { destroy(): void }
interface Library {
  readonly GPU: new (settings: {
    mode: string
  }) => {
    createKernel(source: string, settings: object): Kernel
    destroy(): Promise<unknown>
  }
  input(values: Float32Array, size: readonly number[]): unknown
}

const n = sizes.gemm
const head = 'let i = 0; i++; i = this.thread.x; let row = 0; row++;'

/** `cells`: outputs of a thread. */
const variants: readonly { name: string; source: string; cells: 1 | 4; constant?: boolean }[] = [
  {
    name: 'one output per thread',
    cells: 1,
    source: `function (a, b) { ${head} row = i >> ${Math.log2(n)}; let col = 0; col++; col = i - row * ${n};
      let sum = 0; for (let k = 0; k < ${n}; k++) { sum += a[row * ${n} + k] * b[k * ${n} + col]; } return sum; }`,
  },
  {
    name: 'blocks of 4 along the sum',
    cells: 1,
    source: `function (a, b) { ${head} row = i >> ${Math.log2(n)}; let col = 0; col++; col = i - row * ${n};
      let sum = 0; for (let k = 0; k < ${n}; k += 4) {
      sum += a[row * ${n} + k] * b[k * ${n} + col] + a[row * ${n} + k + 1] * b[k * ${n} + col + ${n}]
      + a[row * ${n} + k + 2] * b[k * ${n} + col + ${2 * n}] + a[row * ${n} + k + 3] * b[k * ${n} + col + ${3 * n}]; }
      return sum; }`,
  },
  {
    name: 'four outputs per thread',
    cells: 4,
    source: `function (a, b) { ${head} row = i >> ${Math.log2(n / 4)}; let col = 0; col++; col = (i - row * ${n / 4}) * 4;
      let s = 0; let t = 0; let u = 0; let v = 0; for (let k = 0; k < ${n}; k++) { let left = a[row * ${n} + k];
      s += left * b[k * ${n} + col]; t += left * b[k * ${n} + col + 1];
      u += left * b[k * ${n} + col + 2]; v += left * b[k * ${n} + col + 3]; } return [s, t, u, v]; }`,
  },
  {
    name: 'weights as a constant',
    cells: 1,
    constant: true,
    source: `function (a) { ${head} row = i >> ${Math.log2(n)}; let col = 0; col++; col = i - row * ${n};
      let sum = 0; for (let k = 0; k < ${n}; k++) { sum += a[row * ${n} + k] * this.constants.b[k * ${n} + col]; }
      return sum; }`,
  },
  {
    name: 'two passes of half the sum',
    cells: 1,
    source: `function (a, b) { ${head} row = i >> ${Math.log2(n)}; let col = 0; col++; col = i - row * ${n};
      let sum = 0; for (let k = 0; k < ${n / 2}; k++) { sum += a[row * ${n} + k] * b[k * ${n} + col]; } return sum; }`,
  },
]

export async function variantTimings(
  mode: string,
  { runs, repeat }: { readonly runs: number; readonly repeat: number },
): Promise<Timing[]> {
  const loaded = (await import('gpu.js')) as unknown as Library & { default?: Library }
  const { GPU, input } = loaded.default ?? loaded
  const instance = new GPU({ mode })
  const values = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i))
  const matrix = input(values, [values.length])
  const out: Timing[] = []
  for (const { name, source, cells, constant } of variants) {
    const kernel = instance.createKernel(source, {
      argumentTypes: constant ? ['Input'] : ['Input', 'Input'],
      ...(constant && { constants: { b: matrix }, constantTypes: { b: 'Input' } }),
      output: [(n * n) / cells],
      pipeline: true,
      immutable: true,
      precision: 'single',
      tactic: 'precision',
      asyncMode: true,
      loopMaxIterations: n,
    })
    const run = async (): Promise<void> => {
      let last: Result | undefined
      for (let i = 0; i < repeat; i++) {
        last?.delete?.()
        last = await kernel(...(constant ? [matrix] : [matrix, matrix]))
      }
      await last?.toArray?.()
      last?.delete?.()
    }
    await run()
    const all: number[] = []
    for (let i = 0; i < runs; i++) {
      const start = performance.now()
      await run()
      all.push((performance.now() - start) / repeat)
    }
    const milliseconds = (all.sort((a, b) => a - b)[runs >> 1] as number) * (name.startsWith('two passes') ? 2 : 1)
    out.push({ name, contestant: mode, milliseconds, flops: 2 * n ** 3 })
    kernel.destroy()
  }
  await instance.destroy()
  return out
}
