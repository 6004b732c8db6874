/**
 * The wasm backend with imaginary memory: the same kernels ask the same allocator for the same blocks, and nothing is
 * computed. What it counts is what the wasm backend takes, to the byte: buffers as they are rounded, packed and
 * transformed weights, workspace, and gaps between blocks.
 */
import { type DType, dtypes, type TypedArray } from '../../dtype.ts'
import { BackendError } from '../../errors.ts'
import type { Precision } from '../../precision.ts'
import type { Backend, Buffer } from '../backend.ts'
import { Engine } from '../wasm/engine.ts'
import type { Kernel } from '../wasm/kernel-cache.ts'
import { chosenTiles, presumedTile } from '../wasm/kernels/tile-choice.ts'
import { kernelsOf, wasmEngine } from '../wasm/wasm.ts'
import { shapes } from './kernels.ts'

const idle: Kernel = { id: 0, key: '', run: () => undefined, code: new Uint8Array(0), parts: 0, times: new Map() }

class PlanEngine extends Engine {
  override kernel(): Kernel {
    return idle
  }

  override run(): undefined {
    return undefined
  }

  override parallel(): void {}

  /** Zeros, which are good class numbers and indices; large outputs are only ever filled. */
  override array({ dtype, length }: Buffer): TypedArray {
    return new dtypes[dtype].array(dtype === 'float32' || dtype === 'float64' ? 0 : length)
  }
}

export interface WasmPlanOptions {
  /** Threads that workspace is planned for. Default: what `getThreads()` gives. */
  readonly threads?: number
  /** As of `setPrecision`. Default: what `getPrecision()` gives. */
  readonly precision?: Precision
}

/**
 * A backend that keeps the books of the wasm backend and computes nothing: run a training step on it and `memory()` tells
 * the bytes that the wasm backend would take for it, without limit. Reading a value is a `BackendError`.
 */
export function createWasmPlan(options: WasmPlanOptions = {}): Backend {
  const real = wasmEngine()
  const engine = new PlanEngine({ imaginary: true, threads: options.threads ?? real.pool.threads })
  engine.assume(real)
  if (options.precision !== undefined) engine.precision = options.precision
  // Which tile is fastest is found by timing it, which a plan cannot.
  chosenTiles.set(engine, presumedTile(real))
  const make = (dtype: DType, length: number): Buffer => engine.alloc(dtype, length)
  const noNumbers = (): never => {
    throw new BackendError('wasm-plan: there are no numbers to read; what depends on values runs on the wasm backend')
  }
  const kernels = kernelsOf(engine, shapes(make), {
    alloc: make,
    upload: (dtype, data) => make(dtype, data.length),
    read: async () => noNumbers(),
    readSync: noNumbers,
    write(buffer) {
      buffer.version++
    },
    free: (buffer) => engine.free(buffer),
    memory: () => engine.memory,
    resetPeak: () => engine.resetPeak(),
  })
  return { name: 'wasm-plan', ...engine.guarded(kernels) }
}
