/**
 * What this backend uses of gpu.js 2.24: string kernels in asynchronous pipeline mode, whose results stay on the device.
 */
import { BackendError } from '../../errors.ts'

/** A result on the device. */
export interface Handle {
  toArray(): unknown
  delete(): void
  /** WebGPU: the buffer, shared by the handle and the kernel that wrote it. */
  readonly buffer?: { _refs?: number }
}

/** The compiled side of a kernel. */
interface Compiled {
  readonly constructor: { readonly mode?: string; readonly name: string }
  /** WebGPU: what the last run wrote; a reference that keeps the memory. */
  outputBuffer?: { _refs?: number } | null
  readonly context?: WebGPUContext | null
  readonly fallbackReason?: unknown
}

/** Adapter and device of WebGPU, as far as they are asked. */
interface WebGPUContext {
  readonly adapter: { readonly info?: Readonly<Record<string, unknown>>; readonly limits: Limits }
  readonly device: {
    readonly limits: Limits
    readonly lost: Promise<{ readonly reason?: string; readonly message: string }>
    destroy(): void
  }
}

interface Limits {
  readonly maxStorageBufferBindingSize: number
  readonly maxBufferSize: number
  readonly maxStorageBuffersPerShaderStage: number
}

/** A kernel that can be called. */
export interface Kernel {
  (...args: unknown[]): Promise<Handle>
  setOutput(output: readonly number[]): unknown
  destroy(): void
  readonly kernel: Compiled
}

export interface KernelSettings {
  readonly argumentTypes: readonly string[]
  readonly output: readonly number[]
  readonly dynamicOutput: true
  readonly dynamicArguments: true
  readonly pipeline: true
  readonly immutable: true
  readonly precision: 'single'
  readonly asyncMode: true
  readonly loopMaxIterations: number
}

/** An instance of gpu.js. */
export interface Instance {
  createKernel(source: string, settings: KernelSettings): Kernel
  addFunction(source: string, settings: { argumentTypes: Record<string, string>; returnType: string }): unknown
  destroy(): Promise<unknown> | undefined
}

/** The module `gpu.js`. */
export interface Library {
  readonly GPU: {
    new (settings: { mode: string }): Instance
    readonly isWebGPUSupported: boolean
    readonly isWebGL2Supported: boolean
    readonly isWebAssemblySupported: boolean
    isWebGPUAvailable(): Promise<boolean>
  }
  input(value: Float32Array, size: readonly number[]): unknown
}

/** gpu.js, which is an optional peer dependency. */
export async function loadLibrary(): Promise<Library> {
  try {
    const loaded = (await import('gpu.js')) as unknown as Library & { default?: Library }
    return loaded.default ?? loaded
  } catch (cause) {
    throw new BackendError('gpu: expects the package gpu.js beside @convnets/tensor (npm install gpu.js@2.24.1)', {
      cause,
    })
  }
}
