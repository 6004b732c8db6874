/** Views of flat storages, as PyTorch and NumPy describe them: offset, shape and strides, in elements. */

/** Whether a view's elements lie one after another in row-major order. Axes of extent 1 may have any stride. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let step = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true
    if (shape[axis] !== 1 && strides[axis] !== step) return false
    step *= shape[axis]!
  }
  return true
}

/** Row-major strides of a shape. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides: number[] = new Array(shape.length)
  let step = 1
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = step
    step *= Math.max(1, shape[axis]!)
  }
  return strides
}

/** Elements from the first to the last of a view, both included: what has to be read. Strides are not negative. */
export function reach(shape: readonly number[], strides: readonly number[]): number {
  if (shape.includes(0)) return 0
  return shape.reduce((last, dim, axis) => last + (dim - 1) * strides[axis]!, 0) + 1
}

const words = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array } as const

/**
 * The elements of a view in row-major order. `bytes` begin with the view's first element and hold its reach; elements
 * have 1, 2, 4 or 8 bytes.
 */
export function gather(
  bytes: Uint8Array,
  size: number,
  shape: readonly number[],
  strides: readonly number[],
): Uint8Array {
  const count = shape.reduce((product, dim) => product * dim, 1)
  if (count === 0) return new Uint8Array(0)
  if (isContiguous(shape, strides)) return bytes.subarray(0, count * size)
  const Words = words[size as keyof typeof words]
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  const from = new Words(aligned.buffer as ArrayBuffer, aligned.byteOffset, Math.floor(aligned.length / size))
  const to = new Words(count)
  const index: number[] = new Array(shape.length).fill(0)
  const inner = shape.length - 1
  const innerDim = shape[inner]!
  const innerStride = strides[inner]!
  let at = 0
  for (let out = 0; out < count; ) {
    for (let i = 0; i < innerDim; i++) to[out++] = from[at + i * innerStride]!
    for (let axis = inner - 1; axis >= 0; axis--) {
      at += strides[axis]!
      index[axis]!++
      if (index[axis]! < shape[axis]!) break
      at -= strides[axis]! * shape[axis]!
      index[axis] = 0
    }
  }
  return new Uint8Array(to.buffer)
}
