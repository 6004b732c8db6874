/**
 * ONNX graphs of one op, so that a runtime's kernel is timed and nothing else. Field numbers are those of `onnx.proto`
 * (github.com/onnx/onnx).
 *
 * The input is an initializer that is also declared as an input: it has a value, so that no run copies one in, and may be
 * overridden, so that no runtime folds the op away. The result is cut down to one element, so that none is copied out.
 */
import { type ConvCase, type GemmCase, padding } from '../cases.ts'
import { numbers } from '../numbers.ts'
import { bytes, type Field, integer, join, message, text } from './protobuf.ts'

const FLOAT = 1
const INT64 = 7

function tensor(name: string, dims: readonly number[], dataType: number, raw: Uint8Array): Field {
  return message(5, ...dims.map((d) => integer(1, d)), integer(2, dataType), text(8, name), bytes(9, raw))
}

function floats(name: string, dims: readonly number[], seed: number): Field {
  const data = numbers(
    dims.reduce((n, d) => n * d, 1),
    seed,
  )
  return tensor(name, dims, FLOAT, new Uint8Array(data.buffer))
}

function longs(name: string, values: readonly number[]): Field {
  const data = BigInt64Array.from(values, BigInt)
  return tensor(name, [values.length], INT64, new Uint8Array(data.buffer))
}

/** Attribute of a list of integers. */
function ints(name: string, values: readonly number[]): Field {
  return message(5, text(1, name), ...values.map((value) => integer(8, value)), integer(20, 7))
}

function int(name: string, value: number): Field {
  return message(5, text(1, name), integer(3, value), integer(20, 2))
}

function node(op: string, inputs: readonly string[], output: string, ...attributes: readonly Field[]): Field {
  return message(
    1,
    ...inputs.map((name) => text(1, name)),
    text(2, output),
    text(3, output),
    text(4, op),
    ...attributes,
  )
}

/** Declaration of an input (11) or output (12). */
function value(field: number, name: string, dims: readonly number[]): Field {
  const shape = message(2, ...dims.map((d) => message(1, integer(1, d))))
  return message(field, text(1, name), message(2, message(1, integer(1, FLOAT), shape)))
}

/** `op` of x and w, of which one element comes out as `y`. */
function oneOp(op: Field, x: readonly number[], w: readonly number[]): Uint8Array {
  const graph = [
    op,
    node('Slice', ['full', 'zeros', 'ones'], 'y'),
    text(2, 'bench'),
    floats('x', x, 1),
    floats('w', w, 2),
    longs(
      'zeros',
      x.map(() => 0),
    ),
    longs(
      'ones',
      x.map(() => 1),
    ),
    value(11, 'x', x),
    value(
      12,
      'y',
      x.map(() => 1),
    ),
  ]
  return join([integer(1, 8), text(2, 'convnets bench'), message(7, ...graph), message(8, text(1, ''), integer(2, 17))])
}

export function gemmGraph({ m, n, k }: GemmCase): Uint8Array {
  return oneOp(node('MatMul', ['x', 'w'], 'full'), [m, k], [k, n])
}

/** Forward as Conv, the input gradient as ConvTranspose; of weight gradients ONNX knows nothing. */
export function convGraph({ spec: s, pass }: ConvCase): Uint8Array | undefined {
  if (pass === 'weightGrad') return undefined
  const { top, left, bottom, right } = padding(s)
  const attributes = [
    int('group', s.groups),
    ints('kernel_shape', [s.kernelHeight, s.kernelWidth]),
    ints('strides', [s.strideHeight, s.strideWidth]),
    ints('dilations', [s.dilationHeight, s.dilationWidth]),
    ints('pads', [top, left, bottom, right]),
  ]
  const w = [s.outChannels, s.inChannels / s.groups, s.kernelHeight, s.kernelWidth]
  if (pass === 'forward') {
    const x = [s.batch, s.inChannels, s.inHeight, s.inWidth]
    return oneOp(node('Conv', ['x', 'w'], 'full', ...attributes), x, w)
  }
  const reach = (out: number, stride: number, dilation: number, kernel: number): number =>
    (out - 1) * stride + dilation * (kernel - 1) + 1
  const extra = [
    s.inHeight - (reach(s.outHeight, s.strideHeight, s.dilationHeight, s.kernelHeight) - top - bottom),
    s.inWidth - (reach(s.outWidth, s.strideWidth, s.dilationWidth, s.kernelWidth) - left - right),
  ]
  const g = [s.batch, s.outChannels, s.outHeight, s.outWidth]
  return oneOp(node('ConvTranspose', ['x', 'w'], 'full', ...attributes, ints('output_padding', extra)), g, w)
}
