/** Elementwise kernels: `map` and `update`, compiled from their formulas once for each way of walking the operands. */
import type { DType } from '../../dtype.ts'
import { type Expr, formulaKey, partsOf } from '../../formula.ts'
import { mergeLoops } from '../../loops.ts'
import { stridesOf } from '../../shape.ts'
import type { Buffer, UpdateSet, View } from '../backend.ts'
import { i32 } from './asm.ts'
import type { Engine, Kernels } from './engine.ts'
import { elementBytes, emitFormulas, listedRows, regularRows, type Walked } from './formula-kernel.ts'
import { costOf } from './formula-value.ts'
import type { Kernel } from './kernel-cache.ts'
import { forEachStep, longestLoop } from './merge.ts'

/** Elements that are walked as one row where a walk has no rows of its own. */
const rowLength = 4096
/** Picoseconds that an instruction on four elements takes, and a row beside its elements. */
const instructionTime = 100
const rowTime = 8000
/** Picoseconds of work that make a part of a job for several threads. */
const threadTime = 10e6

/** Elements from which on a table of results pays, and elements that are looked up in about 10 microseconds. */
const tableWorth = 1024
const tableGrain = 16384

const dtypeNumber: Record<Walked['dtype'], number> = { float32: 0, int32: 1, uint8: 2, bool: 3 }
const stepNumber: Record<Walked['step'], number> = { repeat: 0, dense: 1, strided: 2 }
/** With more operands than this, the number that tells walks apart would not be exact. */
const maxOperands = 11

/** A formula that has been used, with the kernels made of it. */
interface Used {
  readonly id: number
  readonly cost: number
  readonly params: number
  readonly kernels: Map<number, Kernel>
}

/** How one operand or result is walked. */
interface Track extends Walked {
  /** Bytes from element to element of a row. */
  readonly stride: number
}

/** A loop over rows: how often it runs, and the bytes that each operand and result moves on. */
interface Loop {
  readonly extent: number
  readonly steps: readonly number[]
}

/** A kernel with all that stays the same from launch to launch. */
interface Launch {
  readonly kernel: Kernel
  readonly cost: number
  readonly tracks: readonly Track[]
  readonly params: readonly number[]
}

export function elementwise(engine: Engine, plain: Pick<Kernels, 'map' | 'update'>): Pick<Kernels, 'map' | 'update'> {
  const used = new WeakMap<Expr, Used>()
  const byKey = new Map<string, Used>()
  const updates = new Map<string, Kernel>()

  function usedOf(formula: Expr): Used {
    let entry = used.get(formula)
    if (entry) return entry
    // Equal formulas share their kernels, whoever made them.
    const key = formulaKey(formula)
    entry = byKey.get(key)
    if (!entry) {
      entry = { id: byKey.size, cost: costOf(formula), params: paramsOf(formula), kernels: new Map() }
      byKey.set(key, entry)
    }
    used.set(formula, entry)
    return entry
  }

  function kernelOf(formula: Expr, { id, params, kernels }: Used, tracks: readonly Track[]): Kernel {
    let signature = 1
    for (const { dtype, step } of tracks) signature = signature * 12 + dtypeNumber[dtype] * 3 + stepNumber[step]
    let kernel = kernels.get(signature)
    if (!kernel) {
      kernel = engine.kernel(`map ${id} ${signature}`, (m) => emitFormulas(m, [formula], regularRows(tracks, params)))
      kernels.set(signature, kernel)
    }
    return kernel
  }

  /** Runs rows of `count` elements from `pointers` on, in two loops. */
  function launchRows(
    { kernel, cost, tracks, params }: Launch,
    pointers: readonly number[],
    count: number,
    inner: Loop,
    outer: Loop,
  ): void {
    const args: number[] = []
    for (let k = 0; k < tracks.length; k++) {
      const { step, stride } = tracks[k] as Track
      const toRow = inner.steps[k] as number
      args.push(pointers[k] as number, toRow, (outer.steps[k] as number) - inner.extent * toRow)
      if (step === 'strided') args.push(stride)
    }
    for (let i = 0; i < params.length; i++) args.push(params[i] as number)
    args.push(inner.extent, count)
    const grain = threadTime / (count * 0.25 * cost * instructionTime + rowTime)
    engine.parallel(kernel, args, inner.extent * outer.extent, grain)
  }

  /** Runs the rows of a loop, which may have any length; `padded`: the memory after them may be read and written. */
  function launchLong(launch: Launch, pointers: readonly number[], length: number, loop: Loop, padded: boolean): void {
    const { tracks } = launch
    const parts = length < 2 * rowLength ? 0 : Math.floor(length / rowLength)
    const steps = tracks.map(({ stride }) => stride * rowLength)
    if (parts > 0) launchRows(launch, pointers, rowLength, { extent: parts, steps }, loop)
    const rest = length - parts * rowLength
    if (rest === 0) return
    const count = padded ? (rest + 3) & ~3 : Math.max(rest, 4)
    // Too short a rest begins earlier: the elements that it shares come out the same.
    const start = padded ? parts * rowLength : length - count
    const from = start === 0 ? pointers : pointers.map((ptr, k) => ptr + start * (tracks[k] as Track).stride)
    launchRows(launch, from, count, loop, { extent: 1, steps })
  }

  /** A formula of one dense operand of bytes, looked up among its 256 results; null if the operand is not of that kind. */
  function mapByTable(
    formula: Expr,
    { buffer, offset, strides }: View,
    params: readonly number[],
    extents: readonly number[],
    out: Walked['dtype'],
  ): Buffer | null {
    const walk = mergeLoops(extents, [strides])
    if (elementBytes[buffer.dtype as Walked['dtype']] !== 1 || walk.extents.length !== 1 || walk.strides[0]![0] !== 1) {
      return null
    }
    const size = elementBytes[out]
    const length = walk.extents[0] as number
    const bytes = engine.alloc('uint8', 256)
    engine.array(bytes).set(Uint8Array.from({ length: 256 }, (_, i) => i))
    const table = plain.map(formula, [{ buffer: bytes, offset: 0, strides: [1] }], params, [256], out)
    const result = engine.alloc(out, length)
    const kernel = engine.kernel(`look up ${size}`, (m) =>
      m.func('run', ['i32', 'i32', 'i32', 'i32', 'i32'], (b, x, table, y, from, to) => {
        b.for(b.let(from), to, 1, (i) => {
          const byte = i32.load8U(i32.add(x, i))
          if (size === 1) b.emit(i32.store8(i32.add(y, i), i32.load8U(i32.add(table, byte))))
          else b.emit(i32.store(i32.add(y, i32.shl(i, 2)), i32.load(i32.add(table, i32.shl(byte, 2)))))
        })
      }),
    )
    const args = [engine.ptr(buffer, offset), engine.ptr(table), engine.ptr(result)]
    engine.parallel(kernel, args, length, tableGrain)
    engine.free(bytes)
    engine.free(table)
    return result
  }

  function map(
    formula: Expr,
    operands: readonly View[],
    params: readonly number[],
    extents: readonly number[],
    out: DType,
  ): Buffer {
    const total = extents.reduce((product, extent) => product * extent, 1)
    if (out === 'float64' || total === 0 || !inFloat32(formula, operands)) {
      const byTable = total >= tableWorth && operands.length === 1 && out !== 'float64'
      return (
        (byTable && mapByTable(formula, operands[0] as View, params, extents, out)) ||
        plain.map(formula, operands, params, extents, out)
      )
    }
    const walk = mergeLoops(extents, [...operands.map((operand) => operand.strides), stridesOf(extents)])
    const loops = walk.extents.length
    // Rows along the innermost loop, or along the longest if that is too short for a vector.
    const inner = loops > 1 && (walk.extents[0] as number) < 4 ? longestLoop(walk) : 0
    const length = walk.extents[inner] ?? 1
    const strideOf = (k: number): number => walk.strides[k]![inner] ?? 1
    // A row that is all there is may be run over: into the rest of the last line of the result.
    const padded = loops <= 1 && walk.strides.every((_, k) => strideOf(k) === 0 || strideOf(k) === 1)
    if (length < 4 && !padded) return plain.map(formula, operands, params, extents, out)

    const result = engine.alloc(out, total)
    const tracks: Track[] = []
    const pointers: number[] = []
    for (let k = 0; k <= operands.length; k++) {
      const { buffer, offset } = operands[k] ?? { buffer: result, offset: 0 }
      const dtype = buffer.dtype as Walked['dtype']
      const stride = strideOf(k)
      const step = stride === 0 ? 'repeat' : stride === 1 ? 'dense' : 'strided'
      tracks.push({ dtype, step, stride: stride * elementBytes[dtype] })
      pointers.push(engine.ptr(buffer, offset))
    }
    const entry = usedOf(formula)
    const kernel = kernelOf(formula, entry, tracks)
    const given = params.length > entry.params ? params.slice(0, entry.params) : params
    const launch: Launch = { kernel, cost: entry.cost + 2, tracks, params: given }
    const sizes = tracks.map(({ dtype }) => elementBytes[dtype])
    if (loops <= 1) {
      launchLong(launch, pointers, length, { extent: 1, steps: sizes }, padded)
      return result
    }
    const loopOf = (d: number): Loop => ({
      extent: walk.extents[d] ?? 1,
      steps: sizes.map((size, k) => size * (walk.strides[k]![d] ?? 0)),
    })
    // The longest two of the other loops run in the kernel, in the order of memory; one if rows are so long that they are split.
    const long = length >= 2 * rowLength
    const first = longestLoop(walk, inner)
    const second = long ? -1 : longestLoop(walk, inner, first)
    const [near, far] = second < 0 || first < second ? [first, second] : [second, first]
    const others = walk.extents.map((_, d) => d).filter((d) => d !== inner && d !== near && d !== far)
    const [rows, groups] = [loopOf(near), loopOf(far)]
    forEachStep(walk, others, sizes, pointers, () => {
      if (long) launchLong(launch, pointers, length, rows, false)
      else launchRows(launch, pointers, length, rows, groups)
    })
    return result
  }

  function update(formulas: readonly Expr[], sets: readonly UpdateSet[], params: readonly number[]): void {
    const { targets = [], others = [] } = sets[0] ?? {}
    const operands = targets.length + others.length
    if (targets[0]?.dtype !== 'float32') {
      plain.update(formulas, sets, params)
      return
    }
    const entries = formulas.map(usedOf)
    const count = entries.reduce((most, { params }) => Math.max(most, params), 0)
    const key = `update ${operands} ${entries.map(({ id }) => id).join(' ')}`
    let kernel = updates.get(key)
    if (!kernel) {
      kernel = engine.kernel(key, (m) => emitFormulas(m, formulas, listedRows(operands, targets.length, count)))
      updates.set(key, kernel)
    }
    // Rows are listed for the kernel, and may be run over: into the rest of the last line of a buffer.
    const rows = sets.reduce((sum, { targets }) => sum + Math.ceil((targets[0] as Buffer).length / rowLength), 0)
    const list = engine.constants(rows * (operands + 1) * 4, (list) => {
      const words = engine.heap.i32
      let next = list >>> 2
      for (const { targets, others } of sets) {
        const pointers = [...targets, ...others].map((buffer) => engine.ptr(buffer))
        const length = (targets[0] as Buffer).length
        for (let start = 0; start < length; start += rowLength) {
          for (let k = 0; k < operands; k++) words[next++] = (pointers[k] as number) + start * 4
          words[next++] = (Math.min(rowLength, length - start) + 3) & ~3
        }
      }
    })
    const elements = sets.reduce((sum, { targets }) => sum + (targets[0] as Buffer).length, 0)
    const cost = entries.reduce((sum, { cost }) => sum + cost, 2)
    const time = (elements * 0.25 * cost * instructionTime) / rows + rowTime
    engine.parallel(kernel, [list, ...params.slice(0, count)], rows, threadTime / time)
    for (const { targets } of sets) for (const target of targets) target.version++
  }

  return { map, update }
}

/** Whether the formula may be computed in float32: so says the contract, or it converts integers. */
function inFloat32(formula: Expr, operands: readonly View[]): boolean {
  if (operands.length > maxOperands) return false
  let float = false
  for (let k = 0; k < operands.length; k++) {
    const { dtype } = (operands[k] as View).buffer
    if (dtype === 'float64') return false
    if (dtype === 'float32') float = true
  }
  return float || formula.kind === 'input'
}

/** How many params a formula takes. */
function paramsOf(e: Expr): number {
  return e.kind === 'param' ? e.index + 1 : Math.max(0, ...partsOf(e).map(paramsOf))
}
