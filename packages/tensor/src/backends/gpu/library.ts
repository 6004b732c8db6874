/**
 * What this backend uses of gpu.js 2.24: string kernels in asynchronous pipeline mode, whose results stay on the device.
 */
import { BackendError } from '../../errors.ts'

/** How kernels run: WebGPU compute shaders, WebGL 2 fragment shaders, or WebAssembly. */
export type GpuMode = 'webgpu' | 'webgl2' | 'webasm'

/** A result: on the device, or an array where kernels run on the host. */
export type Handle = Float32Array | DeviceHandle

interface DeviceHandle {
  toArray(): unknown
  delete(): void
  /** WebGPU: how many results there are, and numbers in each. */
  output?: readonly number[]
  componentCount?: number
}

/** The `length` numbers of a result, whose threads gave one or several each, as one row of numbers. */
export function flat(handle: Handle | readonly Float32Array[], length: number): Handle {
  if (Array.isArray(handle)) {
    const [{ buffer, byteOffset }] = handle as [Float32Array]
    return new Float32Array(buffer, byteOffset, length)
  }
  const given = handle as Handle
  if (!(given instanceof Float32Array) && given.componentCount !== undefined) {
    given.output = [length]
    given.componentCount = 1
  }
  return given
}

export function release(handle: Handle): void {
  if (!(handle instanceof Float32Array)) handle.delete()
}

/** The numbers of a result, in an array of their own. */
export async function contents(handle: Handle): Promise<Float32Array> {
  return handle instanceof Float32Array ? handle.slice() : ((await handle.toArray()) as Float32Array)
}

/** The compiled side of a kernel. */
interface Compiled {
  readonly constructor: { readonly mode?: string }
  /** WebGPU: what the last run wrote; a reference that keeps the memory. */
  outputBuffer?: { _refs?: number } | null
  /** Adapter and device, or a WebGL context. */
  readonly context?: object | null
  readonly fallbackReason?: unknown
}

/** Adapter and device of WebGPU, as far as they are asked. */
export interface WebGPUContext {
  readonly adapter: { readonly info?: Readonly<Record<string, unknown>>; readonly limits: Limits }
  readonly device: {
    readonly limits: Limits
    readonly lost: Promise<{ readonly reason?: string; readonly message: string }>
    onuncapturederror: ((event: { readonly error: { readonly message: string } }) => void) | null
  }
}

/** What is asked of a WebGL 2 context. */
export interface WebGLContext {
  readonly MAX_TEXTURE_SIZE: number
  readonly MAX_TEXTURE_IMAGE_UNITS: number
  getParameter(name: number): unknown
  isContextLost(): boolean
  getExtension(name: string): Readonly<Record<string, number>> | null
  readonly canvas: { addEventListener(type: string, listener: () => void): void }
}

interface Limits {
  readonly maxStorageBufferBindingSize: number
  readonly maxBufferSize: number
  readonly maxStorageBuffersPerShaderStage: number
}

/** What `kernel` ran on, in the words of `GpuMode`; `cpu` where gpu.js fell back. */
export function ranOn({ kernel }: Kernel): string {
  const { mode = 'unknown' } = kernel.constructor
  if (mode !== 'gpu') return mode
  const { WebGL2RenderingContext: webgl2 } = globalThis as { WebGL2RenderingContext?: new () => object }
  return webgl2 !== undefined && kernel.context instanceof webgl2 ? 'webgl2' : 'webgl'
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
  readonly tactic: 'precision'
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
