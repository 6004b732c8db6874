/**
 * A backend without numbers: tensors have their shape, dtype and place in the gradient graph, and no memory. Networks of
 * any size are built and run on it in no time, for their shapes, their costs and their mistakes.
 */
import { type DType, dtypes } from '../../dtype.ts'
import { BackendError, DisposedError } from '../../errors.ts'
import type { Backend, Buffer } from '../backend.ts'
import { shapes } from './kernels.ts'

class Outline implements Buffer {
  readonly dtype: DType
  readonly length: number
  /** What made it, for messages. */
  readonly maker: string
  version = 0
  pending: (() => void) | undefined = undefined
  live = true

  constructor(dtype: DType, length: number, maker: string) {
    this.dtype = dtype
    this.length = length
    this.maker = maker
  }

  get bytes(): number {
    return this.length * dtypes[this.dtype].bytes
  }
}

function own(buffer: Buffer): Outline {
  if (!(buffer instanceof Outline)) {
    throw new BackendError('shape-only: buffer expects one made by this backend, got that of another')
  }
  if (!buffer.live) throw new DisposedError('shape-only: buffer expects a live one, got a freed one')
  return buffer
}

/** The error for whoever asks for numbers. */
function noNumbers(buffer: Buffer): never {
  const { dtype, length, maker } = own(buffer)
  throw new BackendError(
    `shape-only: there are no numbers to read; asked for ${length} of ${dtype} made by ${maker}. What depends on values ` +
      'runs on the wasm or reference backend',
  )
}

/**
 * A backend whose tensors have no numbers. Every op checks its arguments and gives shapes; gradients, optimizers and
 * lifetimes work as elsewhere. `memory()` tells the bytes that the tensors would take with numbers, without workspace.
 * Reading a value (`data()`, `item()`) is a `BackendError` that names what made it. Each backend counts by itself.
 */
export function createShapeOnly(): Backend {
  let [bytes, peakBytes, buffers] = [0, 0, 0]
  const make = (dtype: DType, length: number, maker: string): Buffer => {
    const buffer = new Outline(dtype, length, maker)
    bytes += buffer.bytes
    buffers++
    if (bytes > peakBytes) peakBytes = bytes
    return buffer
  }
  return {
    name: 'shape-only',
    fill: (dtype, length, value) => make(dtype, length, `a tensor of ${value}`),
    alloc: (dtype, length) => make(dtype, length, 'a copy'),
    upload: (dtype, data) => make(dtype, data.length, 'numbers that were given'),
    read: async (buffer) => noNumbers(buffer),
    readSync: noNumbers,
    write(buffer) {
      own(buffer).version++
    },
    free(buffer) {
      const outline = own(buffer)
      outline.live = false
      bytes -= outline.bytes
      buffers--
    },
    memory: () => ({
      bytes,
      buffers,
      peakBytes,
      heldBytes: bytes,
      peakHeldBytes: peakBytes,
      derivedBytes: 0,
      workspaceBytes: 0,
      reservedBytes: bytes,
    }),
    resetPeak() {
      peakBytes = bytes
    },
    ...shapes(make),
  }
}

/** The backend without numbers that programs share; see `createShapeOnly`. */
export const shapeOnly: Backend = /* @__PURE__ */ createShapeOnly()
