/**
 * Moving elements. A kernel of gpu.js writes whole buffers, so a copy into a part of one gives the buffer new contents,
 * and adding by index is turned around: each output element looks for the values that go to it.
 */
import { ArgumentError } from '../../errors.ts'
import type { Backend, View } from '../backend.ts'
import type { Device } from './device.ts'
import type { Source } from './source.ts'

const product = (extents: readonly number[]): number => extents.reduce((n, extent) => n * extent, 1)

/**
 * The coordinates that element `place` has in a walk with `strides`, and the condition that it is part of the walk. The
 * walk must meet every element at most once.
 */
function locate(
  s: Source,
  place: string,
  extents: readonly number[],
  strides: readonly number[],
): {
  coordinates: string[]
  inside: string
} {
  const coordinates = extents.map(() => '0')
  const conditions: string[] = []
  const axes = [...extents.keys()]
    .filter((axis) => extents[axis] !== 1)
    .sort((a, b) => (strides[b] as number) - (strides[a] as number))
  let rest = place
  for (const axis of axes) {
    const stride = strides[axis] as number
    const c = s.divide(rest, stride)
    coordinates[axis] = c
    conditions.push(`${c} >= 0`, `${c} < ${extents[axis]}`)
    rest = stride === 1 ? '0' : s.int(`${rest} - ${c} * ${stride}`)
  }
  if (rest !== '0') conditions.push(`${rest} === 0`)
  return { coordinates, inside: conditions.join(' && ') || 'true' }
}

/** Throws an `ArgumentError` where an index that came from the host points outside of its axis. */
function checkIndices(op: string, host: Int32Array | undefined, size: number): void {
  for (const value of host ?? []) {
    if (value < 0 || value >= size)
      throw new ArgumentError(`${op}: index expects values from 0 to ${size - 1}, got ${value}`)
  }
}

/** Walks backwards made forwards: the same pairs of elements, with positive strides in the target. */
function forwards(source: View, target: View, extents: readonly number[]): [from: View, to: View] {
  const turn = (view: View): View => {
    let offset = view.offset
    const strides = view.strides.map((stride, axis) => {
      if ((target.strides[axis] as number) >= 0) return stride
      offset += ((extents[axis] as number) - 1) * stride
      return -stride
    })
    return { ...view, offset, strides }
  }
  return [turn(source), turn(target)]
}

export function copyKernels(device: Device): Pick<Backend, 'copy' | 'gather' | 'scatterAdd'> {
  return {
    copy(source, target, extents) {
      if (product(extents) === 0) return
      const [from, to] = forwards(source, target, extents)
      const out = device.own(to.buffer)
      const whole = product(extents) === out.length
      const input = device.own(from.buffer)
      device.launch({
        op: 'copy',
        out,
        inputs: whole ? [input] : [input, out],
        element(s) {
          const place = to.offset === 0 ? s.i : s.int(`i - ${to.offset}`)
          const { coordinates, inside } = locate(s, place, extents, to.strides)
          const value = s.at(0, s.int(s.place(coordinates, from.strides, from.offset)))
          if (whole || inside === 'true') return value
          const result = s.float(s.at(1, s.i))
          s.when(inside, () => s.set(result, value))
          return result
        },
      })
    },
    gather(source, index, axisStride, axisSize, extents) {
      const [x, indices] = [device.own(source.buffer), device.own(index.buffer)]
      checkIndices('gather', indices.host, axisSize)
      return device.make(x.dtype, product(extents), {
        op: 'gather',
        inputs: [x, indices],
        element(s) {
          const coordinates = s.coordinates(s.i, extents)
          const at = s.int(`toInt(${s.at(1, s.place(coordinates, index.strides, index.offset))})`)
          const place = s.int(`${s.place(coordinates, source.strides, source.offset)} + ${at} * ${axisStride}`)
          // What the host has not seen cannot be refused: it gives NaN.
          const result = s.float(s.param(Number.NaN))
          s.when(`${at} >= 0 && ${at} < ${axisSize}`, () => s.set(result, s.at(0, place)))
          return result
        },
      })
    },
    scatterAdd(values, index, strides, axisStride, axisSize, extents, length) {
      const [given, indices] = [device.own(values), device.own(index.buffer)]
      checkIndices('scatterAdd', indices.host, axisSize)
      // Axes on which an output element has one place are solved for; on the others it meets every value.
      const solved = extents.flatMap((extent, axis) => (strides[axis] !== 0 && extent !== 1 ? [axis] : []))
      const open = extents.flatMap((_, axis) => (solved.includes(axis) ? [] : [axis]))
      const byStride = [
        ...solved.map((axis) => ({ axis, extent: extents[axis] as number, stride: strides[axis] as number })),
        { axis: -1, extent: axisSize, stride: axisStride },
      ]
      return device.make(given.dtype, length, {
        op: 'scatterAdd',
        inputs: [given, indices],
        element(s) {
          const found = locate(
            s,
            s.i,
            byStride.map(({ extent }) => (extent === 1 ? 2 : extent)),
            byStride.map(({ stride }) => stride),
          )
          const wanted = found.coordinates.at(-1) as string
          const coordinates = extents.map(() => '0')
          for (const [k, { axis }] of byStride.entries())
            if (axis >= 0) coordinates[axis] = found.coordinates[k] as string
          const sum = s.float(0)
          const each = (axes: readonly number[]): void => {
            const [axis, ...rest] = axes
            if (axis === undefined) {
              const at = s.int(`toInt(${s.at(1, s.place(coordinates, index.strides, index.offset))})`)
              s.when(`${at} === ${wanted}`, () => s.push(`${sum} += ${s.at(0, s.dense(coordinates, extents))};`))
            } else {
              s.loop(extents[axis] as number, (k) => {
                coordinates[axis] = k
                each(rest)
              })
            }
          }
          s.when(found.inside, () => each(open))
          return sum
        },
      })
    },
  }
}
