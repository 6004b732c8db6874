/** Formulas over strided operands, changes in place, and constants. */
import type { DType } from '../../dtype.ts'
import type { Backend, View } from '../backend.ts'
import type { Device, Launch } from './device.ts'
import { formulaPrinter } from './formula-source.ts'
import { checkExact, type Source } from './source.ts'

/** Loops without axes of one cell, neighbours that every operand walks as one merged. */
function merged(
  extents: readonly number[],
  strides: readonly (readonly number[])[],
): { extents: number[]; strides: number[][] } {
  const out: { extents: number[]; strides: number[][] } = { extents: [], strides: strides.map(() => []) }
  for (const [axis, extent] of extents.entries()) {
    if (extent === 1) continue
    const last = out.extents.length - 1
    const joins = last >= 0 && strides.every((own, k) => out.strides[k]?.[last] === (own[axis] as number) * extent)
    if (joins) {
      out.extents[last] = (out.extents[last] as number) * extent
      for (const [k, own] of strides.entries()) (out.strides[k] as number[])[last] = own[axis] as number
    } else {
      out.extents.push(extent)
      for (const [k, own] of strides.entries()) out.strides[k]?.push(own[axis] as number)
    }
  }
  return out
}

/** Expressions of the operands' elements in a dense walk over `extents`. */
function walk(s: Source, operands: readonly View[], extents: readonly number[]): (k: number) => string {
  const loops = merged(
    extents,
    operands.map(({ strides }) => strides),
  )
  const coordinates = s.coordinates(s.i, loops.extents)
  return (k) => s.at(k, s.place(coordinates, loops.strides[k] as number[], operands[k]?.offset))
}

/** Whether the operands of a walk over `extents` are dense and as long as it, or numbers. */
function alike(device: Device, operands: readonly View[], extents: readonly number[]): boolean {
  const length = extents.reduce((n, extent) => n * extent, 1)
  return operands.every(({ buffer, offset, strides }) => {
    const [stride = 0, ...more] = merged(extents, [strides]).strides[0] as number[]
    if (more.length > 0) return false
    if (stride === 0) return device.layout(buffer.length).parts === 1
    return stride === 1 && offset === 0 && buffer.length === length
  })
}

/** The value as `dtype` stores it: floats are cut off towards zero, uint8 counts modulo 256. */
function stored(s: Source, value: string, dtype: DType): string {
  switch (dtype) {
    case 'int32':
      return `Math.trunc(${value})`
    case 'uint8': {
      const whole = s.float(`Math.trunc(${value})`)
      return `(${whole} - 256 * Math.floor(${whole} / 256))`
    }
    case 'bool':
      return `(${value} !== 0 ? ${s.param(1)} : ${s.param(0)})`
    default:
      return value
  }
}

export function elementwiseKernels(device: Device): Pick<Backend, 'fill' | 'alloc' | 'map' | 'update'> {
  const fill: Backend['fill'] = (dtype, length, value) => {
    if (dtype === 'int32') checkExact('fill', 'an int32 value', value)
    return device.make(dtype, length, { op: 'fill', inputs: [], element: (s) => stored(s, s.param(value), dtype) })
  }
  return {
    fill,
    // A copy into a part of a buffer reads the rest, which must be there.
    alloc: (dtype, length) => fill(dtype, length, 0),
    map: (formula, operands, params, extents, out) =>
      device.make(
        out,
        extents.reduce((n, extent) => n * extent, 1),
        {
          op: 'an elementwise op',
          inputs: operands.map(({ buffer }) => device.own(buffer)),
          aligned: alike(device, operands, extents),
          element: (s) => stored(s, formulaPrinter(s, walk(s, operands, extents), params)(formula), out),
        },
      ),
    update(formulas, sets, params) {
      for (const { targets, others } of sets) {
        const inputs = [...targets, ...others].map((buffer) => device.own(buffer))
        const launches: Launch[] = formulas.map((formula, t) => ({
          op: 'update',
          out: device.own(targets[t] as View['buffer']),
          inputs,
          aligned: true,
          element: (s) => formulaPrinter(s, (k) => s.at(k, s.i), params)(formula),
        }))
        device.launch(...launches)
        for (const target of targets) target.version++
      }
    },
  }
}
