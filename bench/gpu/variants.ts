/** Forms of one product and two convolutions as raw kernels of gpu.js: what each gains in each mode. */
import type { GpuMode } from '@convnets/tensor/gpu'
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

/** Rows of `outputs` sums over `terms`, at each of `side` x `side` places or, without it, of `rows` rows. */
interface Work {
  readonly name: string
  readonly rows: number
  readonly outputs: number
  readonly terms: number
  /** Side of the image, and of the kernel that goes over it. */
  readonly image?: { readonly side: number; readonly kernel: number }
}

const [channels, outputs3, side3] = sizes.conv3x3
const [channels1, outputs1, side1] = sizes.conv1x1
const works: readonly Work[] = [
  { name: 'GEMM', rows: sizes.gemm, outputs: sizes.gemm, terms: sizes.gemm },
  { name: 'conv 1x1', rows: side1 ** 2, outputs: outputs1, terms: channels1, image: { side: side1, kernel: 1 } },
  { name: 'conv 3x3', rows: side3 ** 2, outputs: outputs3, terms: channels, image: { side: side3, kernel: 3 } },
]

/** One way to compute the same: outputs of a thread, terms that one turn of the loop adds, and the like. */
interface Form {
  readonly name: string
  readonly cells?: number
  readonly block?: number
  readonly constant?: boolean
  readonly passes?: number
}

const forms: readonly Form[] = [
  { name: 'one output per thread' },
  { name: 'blocks of 4 along the sum', block: 4 },
  { name: 'four outputs per thread', cells: 4 },
  { name: 'four outputs, blocks of 4', cells: 4, block: 4 },
  { name: 'weights as a constant', constant: true },
  { name: 'two passes of half the sum', passes: 2 },
]

const integer = (name: string, value: string): string => `let ${name} = 0; ${name}++; ${name} = ${value};`

function source({ outputs, terms, image }: Work, { cells = 1, block = 1, constant = false, passes = 1 }: Form): string {
  const list = Array.from({ length: cells }, (_, cell) => cell)
  const weights = constant ? 'this.constants.b' : 'b'
  const taps = image === undefined ? 1 : image.kernel ** 2
  const weight = (cell: number, plus: number): string =>
    image === undefined
      ? `${weights}[(k + ${plus}) * ${outputs} + col + ${cell}]`
      : `${weights}[fromB + ${cell * taps * terms + plus} + k]`
  const steps = Array.from({ length: block }, (_, plus) => plus)
  const lefts = steps.map((plus) => `const left${plus} = a[fromA + k + ${plus}];`)
  const turn = list.map(
    (cell) => `s${cell} += ${steps.map((plus) => `left${plus} * ${weight(cell, plus)}`).join(' + ')};`,
  )
  const sum = `for (let k = 0; k < ${terms / passes}; k += ${block}) { ${lefts.join(' ')} ${turn.join(' ')} }`
  const walk = (): string => {
    if (image === undefined) return `${integer('fromA', `row * ${terms}`)} ${sum}`
    const { side, kernel } = image
    const from = (at: string, tap: string): string =>
      `${integer('fromA', `${at} * ${terms}`)} ${integer('fromB', `(col * ${taps} + ${tap}) * ${terms}`)} ${sum}`
    if (kernel === 1) return from('row', '0')
    return `${integer('y', `row >> ${Math.log2(side)}`)} ${integer('x', `row - y * ${side}`)}
      for (let ky = 0; ky < ${kernel}; ky++) { for (let kx = 0; kx < ${kernel}; kx++) {
        ${integer('iy', `y + ky - ${kernel >> 1}`)} ${integer('ix', `x + kx - ${kernel >> 1}`)}
        if (iy >= 0 && iy < ${side} && ix >= 0 && ix < ${side}) {
          ${from(`(iy * ${side} + ix)`, `ky * ${kernel} + kx`)} } } }`
  }
  const shift = Math.log2(outputs / cells)
  return `function (${constant ? 'a' : 'a, b'}) {
    ${integer('i', 'this.thread.x')} ${integer('row', `i >> ${shift}`)}
    ${integer('col', `(i - row * ${outputs / cells}) * ${cells}`)}
    ${list.map((cell) => `let s${cell} = 0.0;`).join(' ')}
    ${walk()}
    return ${cells === 1 ? 's0' : `[${list.map((cell) => `s${cell}`).join(', ')}]`}; }`
}

const settings = {
  pipeline: true,
  immutable: true,
  precision: 'single',
  tactic: 'precision',
  asyncMode: true,
  loopMaxIterations: 4096,
}

const handleTypes: Readonly<Record<GpuMode, string>> = {
  webgpu: 'WebGPUBuffer',
  webgl2: 'ArrayTexture(1)',
  webasm: 'Array',
}

export async function variantTimings(
  mode: GpuMode,
  { runs, repeat }: { readonly runs: number; readonly repeat: number },
): Promise<Timing[]> {
  const loaded = (await import('gpu.js')) as unknown as Library & { default?: Library }
  const { GPU, input } = loaded.default ?? loaded
  const instance = new GPU({ mode })
  const out: Timing[] = []
  for (const work of works) {
    const { name, rows, outputs, terms, image } = work
    const operand = (length: number): unknown =>
      input(
        Float32Array.from({ length }, (_, i) => Math.sin(i)),
        [length],
      )
    const taps = (image?.kernel ?? 1) ** 2
    const [lengthA, lengthB] = [rows * terms, terms * outputs * taps]
    const uploading = [lengthA, lengthB].map((length) =>
      instance.createKernel('function (x) { return x[this.thread.x]; }', {
        ...settings,
        argumentTypes: ['Input'],
        output: [length],
      }),
    ) as [Kernel, Kernel]
    const [a, b] = [await uploading[0](operand(lengthA)), await uploading[1](operand(lengthB))]
    for (const form of forms) {
      const { cells = 1, constant = false, passes = 1 } = form
      const type = handleTypes[mode]
      const kernel = instance.createKernel(source(work, form), {
        ...settings,
        argumentTypes: constant ? [type] : [type, type],
        ...(constant && { constants: { b: operand(lengthB) }, constantTypes: { b: 'Input' } }),
        output: [(rows * outputs) / cells],
      })
      const run = async (): Promise<void> => {
        for (let i = 0; i < repeat; i++) {
          const result = await kernel(...(constant ? [a] : [a, b]))
          if (i === repeat - 1) await result.toArray?.()
          result.delete?.()
        }
      }
      await run()
      const all: number[] = []
      for (let i = 0; i < runs; i++) {
        const start = performance.now()
        await run()
        all.push((performance.now() - start) / repeat)
      }
      const milliseconds = (all.sort((x, y) => x - y)[runs >> 1] as number) * passes
      const flops = 2 * rows * outputs * terms * taps
      out.push({ name: `${name}, ${form.name}`, contestant: mode, milliseconds, flops })
      kernel.destroy()
    }
    for (const one of [a, b]) one.delete?.()
    for (const one of uploading) one.destroy()
  }
  await instance.destroy()
  return out
}
