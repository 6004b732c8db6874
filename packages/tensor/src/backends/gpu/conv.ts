/**
 * Convolution by the equation of the reference backend: output cell (oy, ox) and kernel cell (ky, kx) meet at input cell
 * iy = oy * strideHeight - padTop + ky * dilationHeight, ix likewise. Each thread sums over all that meet at its element.
 */
import type { Backend, ConvSpec } from '../backend.ts'
import { addProducts, cellsOf, sumsOf } from './cells.ts'
import type { Device } from './device.ts'
import { sumOver } from './reduce.ts'
import type { Source } from './source.ts'

/** `body` with the input position of an output and a kernel position, where it lies inside. */
function forward(s: Source, out: string, kernel: string, way: Axis, body: (input: string) => void): void {
  const { stride, pad, dilation, inSize, outSize, kernelSize } = way
  const at = s.int(`${s.place([out, kernel], [stride, dilation], -pad)}`)
  const inside = -pad >= 0 && (outSize - 1) * stride - pad + (kernelSize - 1) * dilation < inSize
  if (inside) body(at)
  else s.when(`${at} >= 0 && ${at} < ${inSize}`, () => body(at))
}

/** `body` with the output position that an input and a kernel position meet at, where there is one. */
function backward(s: Source, input: string, kernel: string, way: Axis, body: (out: string) => void): void {
  const { stride, pad, dilation, outSize } = way
  const reach = s.int(s.place([input, kernel], [1, -dilation], pad))
  const at = s.divide(reach, stride)
  const whole = stride === 1 ? '' : ` && ${at} * ${stride} === ${reach}`
  s.when(`${at} >= 0 && ${at} < ${outSize}${whole}`, () => body(at))
}

interface Axis {
  readonly stride: number
  readonly pad: number
  readonly dilation: number
  readonly inSize: number
  readonly outSize: number
  readonly kernelSize: number
}

const axes = (spec: ConvSpec): readonly [rows: Axis, columns: Axis] => [
  {
    stride: spec.strideHeight,
    pad: spec.padTop,
    dilation: spec.dilationHeight,
    inSize: spec.inHeight,
    outSize: spec.outHeight,
    kernelSize: spec.kernelHeight,
  },
  {
    stride: spec.strideWidth,
    pad: spec.padLeft,
    dilation: spec.dilationWidth,
    inSize: spec.inWidth,
    outSize: spec.outWidth,
    kernelSize: spec.kernelWidth,
  },
]

/** Loops over the kernel's cells. */
function eachCell({ kernelHeight, kernelWidth }: ConvSpec, s: Source, body: (ky: string, kx: string) => void): void {
  s.repeat(kernelHeight, (ky) => s.repeat(kernelWidth, (kx) => body(ky, kx)))
}

export function convKernels(device: Device): Pick<Backend, 'conv2d' | 'conv2dInputGrad' | 'conv2dWeightGrad'> {
  return {
    conv2d(x, weight, bias, spec) {
      const { batch, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, kernelHeight, kernelWidth } = spec
      const [groupIn, groupOut] = [inChannels / spec.groups, outChannels / spec.groups]
      const [rows, columns] = axes(spec)
      const length = batch * outHeight * outWidth * outChannels
      const cells = cellsOf(length, groupOut)
      return device.make('float32', length, {
        op: 'conv2d',
        cells,
        inputs: [x, weight, ...(bias === null ? [] : [bias])].map((buffer) => device.own(buffer)),
        element(s) {
          const [n, oy, ox, oc] = s.coordinates(s.i, [batch, outHeight, outWidth, outChannels]) as Four
          const group = spec.groups === 1 ? '0' : s.divide(oc, groupOut)
          const sums = sumsOf(s, cells, (cell) => (bias === null ? 0 : s.at(2, s.place([oc], [1], cell))))
          eachCell(spec, s, (ky, kx) =>
            forward(s, oy, ky, rows, (iy) =>
              forward(s, ox, kx, columns, (ix) => {
                const image = s.dense([n, iy, ix], [batch, inHeight, inWidth])
                const fromX = s.int(s.place([image, group], [inChannels, groupIn]))
                const fromW = s.int(`(${s.dense([oc, ky, kx], [outChannels, kernelHeight, kernelWidth])}) * ${groupIn}`)
                const row = kernelHeight * kernelWidth * groupIn
                s.repeat(groupIn, (ic) =>
                  addProducts(s, sums, s.at(0, s.place([fromX, ic], [1, 1])), (cell) =>
                    s.at(1, s.place([fromW, ic], [1, 1], cell * row)),
                  ),
                )
              }),
            ),
          )
          return sums
        },
      })
    },
    conv2dInputGrad(g, weight, spec) {
      const { batch, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, kernelHeight, kernelWidth } = spec
      const [groupIn, groupOut] = [inChannels / spec.groups, outChannels / spec.groups]
      const [rows, columns] = axes(spec)
      const kernelSize = kernelHeight * kernelWidth
      const length = batch * inHeight * inWidth * inChannels
      const cells = cellsOf(length, groupIn)
      return device.make('float32', length, {
        op: 'conv2d input gradient',
        cells,
        inputs: [device.own(g), device.own(weight)],
        element(s) {
          const [n, iy, ix, ic] = s.coordinates(s.i, [batch, inHeight, inWidth, inChannels]) as Four
          const group = spec.groups === 1 ? '0' : s.divide(ic, groupIn)
          const within = spec.groups === 1 ? ic : s.int(`${ic} - ${group} * ${groupIn}`)
          const sums = sumsOf(s, cells, () => 0)
          eachCell(spec, s, (ky, kx) =>
            backward(s, iy, ky, rows, (oy) =>
              backward(s, ix, kx, columns, (ox) => {
                const image = s.dense([n, oy, ox], [batch, outHeight, outWidth])
                const fromG = s.int(s.place([image, group], [outChannels, groupOut]))
                const cell = s.dense([ky, kx], [kernelHeight, kernelWidth])
                const fromW = s.int(s.place([group, cell, within], [groupOut * kernelSize * groupIn, groupIn, 1]))
                s.repeat(groupOut, (oc) =>
                  addProducts(s, sums, s.at(0, s.place([fromG, oc], [1, 1])), (cell) =>
                    s.at(1, s.place([fromW, oc], [1, kernelSize * groupIn], cell)),
                  ),
                )
              }),
            ),
          )
          return sums
        },
      })
    },
    conv2dWeightGrad(x, g, spec) {
      const { batch, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, kernelHeight, kernelWidth } = spec
      const [groupIn, groupOut] = [inChannels / spec.groups, outChannels / spec.groups]
      const [rows, columns] = axes(spec)
      return sumOver(device, {
        op: 'conv2d weight gradient',
        kept: [outChannels, kernelHeight, kernelWidth, groupIn],
        reduced: [batch, outHeight, outWidth],
        products: true,
        inputs: [device.own(x), device.own(g)],
        term(s, kept, reduced, add) {
          const [oc, ky, kx, ic] = kept as Four
          const [n, oy, ox] = reduced as readonly [string, string, string]
          const group = spec.groups === 1 ? '0' : s.divide(oc, groupOut)
          forward(s, oy, ky, rows, (iy) =>
            forward(s, ox, kx, columns, (ix) => {
              const cellX = s.dense([n, iy, ix], [batch, inHeight, inWidth])
              const cellG = s.dense([n, oy, ox], [batch, outHeight, outWidth])
              add(s.at(1, s.place([cellG, oc], [outChannels, 1])), (cell) =>
                s.at(0, s.place([cellX, group, ic], [inChannels, groupIn, 1], cell)),
              )
            }),
          )
        },
      })
    },
  }
}

type Four = readonly [string, string, string, string]
