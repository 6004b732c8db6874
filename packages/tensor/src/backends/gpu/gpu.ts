/**
 * The gpu backend: the contract of `backend.ts` as string kernels of gpu.js on WebGPU or WebGL 2. Tensors stay on the
 * device; `data()` reads them back. All numbers are float32, so float64 is refused and integers are exact up to 2^24.
 */
import { type TypedArray, zeroArray } from '../../dtype.ts'
import { ArgumentError, BackendError } from '../../errors.ts'
import { checkOptionNames, optionNames } from '../../options.ts'
import type { Backend, Buffer, Matrices } from '../backend.ts'
import { random } from '../reference/random.ts'
import { convKernels } from './conv.ts'
import { copyKernels } from './copy.ts'
import { Device } from './device.ts'
import { elementwiseKernels } from './elementwise.ts'
import { interpolateKernels } from './interpolate.ts'
import { contents, type GpuMode, type Instance, type Kernel, type Library, loadLibrary, ranOn } from './library.ts'
import { matmulKernels } from './matmul.ts'
import { normKernels } from './norm.ts'
import { describe } from './platform.ts'
import { poolKernels } from './pool.ts'
import { settings } from './programs.ts'
import { reduceKernels } from './reduce.ts'
import { softmaxKernels } from './softmax.ts'

export interface GpuOptions {
  /** Which mode is to run; `auto` takes the first that works, in the order webgpu, webgl2, webasm. Default `auto`. */
  readonly mode?: GpuMode | 'auto'
  /**
   * WebGPU for places without `navigator.gpu`. In Node: `create([])` of the package `webgpu` (0.6). It becomes
   * `navigator.gpu`, where gpu.js looks for it. Make it once: a second one in a process can end that process.
   */
  readonly webgpu?: object
  /** Bytes that one buffer on the device may have; larger tensors are split. Default: what the adapter allows. */
  readonly bindingBytes?: number
  /**
   * Whether a kernel that gpu.js cannot run in the mode may run on the CPU instead; `info().fallbacks` tells which did.
   * Default false: it is a `BackendError`.
   */
  readonly allowFallback?: boolean
}

const gpuOptions = optionNames<GpuOptions>({ mode: true, webgpu: true, bindingBytes: true, allowFallback: true })

/** What runs, and why nothing better does. */
export interface GpuInfo {
  readonly mode: GpuMode
  /** Vendor, architecture and description of the adapter, as far as it tells. */
  readonly adapter: string
  /** Whether the adapter is software. */
  readonly software: boolean
  /** Bytes that one buffer may have before it is split. */
  readonly bindingBytes: number
  /** Buffers that one kernel may use. */
  readonly bindings: number
  /** Compiled kernels; in WebAssembly those that were not used for longest are forgotten where memories run out. */
  readonly kernels: number
  /** Kernels that ran on the CPU instead, if that is allowed. */
  readonly fallbacks: readonly { readonly op: string; readonly reason: string }[]
  /** With mode `auto`: the modes that were tried before, and why they do not run. */
  readonly passedOver: readonly { readonly mode: GpuMode; readonly reason: string }[]
}

/** A backend on a GPU. `readSync`, and with it `dataSync()` and `item()`, is a `BackendError`: use `await x.data()`. */
export interface GpuBackend extends Backend {
  readonly name: 'gpu'
  info(): GpuInfo
  /** Resolves when all kernels issued so far have been handed to the device; rejects if one of them failed. */
  submitted(): Promise<void>
  /** Frees everything. Tensors on this backend are lost. */
  destroy(): Promise<void>
}

const modes: readonly GpuMode[] = ['webgpu', 'webgl2', 'webasm']

/** Why `mode` cannot run here, if so. */
async function missing({ GPU }: Library, mode: GpuMode): Promise<string | undefined> {
  switch (mode) {
    case 'webgpu':
      if (!GPU.isWebGPUSupported) {
        return 'navigator.gpu is missing; in Node pass webgpu: create([]) of the package webgpu'
      }
      return (await GPU.isWebGPUAvailable()) ? undefined : 'navigator.gpu has no adapter'
    case 'webgl2':
      return GPU.isWebGL2Supported ? undefined : 'there is no WebGL 2 context with float textures'
    case 'webasm':
      return GPU.isWebAssemblySupported ? undefined : 'there is no WebAssembly'
  }
}

interface WebGPU {
  requestAdapter(): unknown
}

const kindOf = (value: unknown): string =>
  typeof value === 'function'
    ? 'a function'
    : typeof value === 'object' && value !== null
      ? 'one without'
      : String(value)

/** Makes `webgpu` the `navigator.gpu` of places that have none. */
function provide(webgpu: object): void {
  const place = globalThis as { navigator?: object }
  if (place.navigator === undefined)
    Object.defineProperty(place, 'navigator', { value: {}, configurable: true, writable: true })
  Object.defineProperty(place.navigator, 'gpu', { value: webgpu, configurable: true })
}

/**
 * A backend on the GPU by gpu.js (an optional peer dependency: `npm install gpu.js@2.24.1`).
 *
 * ```ts
 * const backend = await gpu({ mode: 'webgpu' })
 * const model = resnet18().to(backend)
 * ```
 *
 * @throws BackendError where gpu.js or the mode asked for is not there, with the reason; nothing falls back silently.
 */
export async function gpu(options: GpuOptions = {}): Promise<GpuBackend> {
  checkOptionNames('gpu', options, gpuOptions)
  const { mode = 'auto', webgpu } = options
  if (mode !== 'auto' && !modes.includes(mode)) {
    throw new ArgumentError(`gpu: mode expects auto, ${modes.join(', ')}, got ${String(mode)}`)
  }
  if (options.bindingBytes !== undefined && !(options.bindingBytes >= 64)) {
    throw new ArgumentError(`gpu: bindingBytes expects at least 64, got ${options.bindingBytes}`)
  }
  if (webgpu !== undefined) {
    if (typeof (webgpu as Partial<WebGPU> | null)?.requestAdapter !== 'function') {
      throw new ArgumentError(
        `gpu: webgpu expects create([]) of the package webgpu, or another object with requestAdapter, got ${kindOf(webgpu)}`,
      )
    }
    provide(webgpu)
  }
  const library = await loadLibrary()
  const passedOver: { mode: GpuMode; reason: string }[] = []
  for (const wanted of mode === 'auto' ? modes : [mode]) {
    try {
      const reason = await missing(library, wanted)
      if (reason !== undefined) throw new BackendError(reason)
      return await start(library, wanted, options, passedOver)
    } catch (error) {
      passedOver.push({ mode: wanted, reason: (error as Error).message })
    }
  }
  throw new BackendError(
    `gpu: mode ${mode} does not run here: ${passedOver.map(({ mode: tried, reason }) => `${tried}: ${reason}`).join('; ')}`,
  )
}

/** Runs one kernel to see that the mode works, and asks what it runs on. */
async function probe(library: Library, instance: Instance, mode: GpuMode): Promise<Kernel> {
  const kernel = instance.createKernel('function (x) { return x[this.thread.x] + 1; }', {
    ...settings,
    argumentTypes: ['Input'],
  })
  const handle = await kernel(library.input(Float32Array.of(41), [1]))
  const [answer] = await contents(handle)
  if (answer !== 42) throw new BackendError(`a kernel expected to give 42 gave ${answer}`)
  const ran = ranOn(kernel)
  if (ran !== mode) throw new BackendError(`gpu.js ran ${ran} instead: ${String(kernel.kernel.fallbackReason)}`)
  return kernel
}

async function start(
  library: Library,
  mode: GpuMode,
  options: GpuOptions,
  passedOver: GpuInfo['passedOver'],
): Promise<GpuBackend> {
  const instance = new library.GPU({ mode })
  const kernel = await probe(library, instance, mode)
  const platform = describe(mode, kernel.kernel.context)
  const bindingBytes = Math.min(platform.bindingBytes, options.bindingBytes ?? platform.bindingBytes)
  const { adapter, bindings, ending } = platform
  const { allowFallback = false } = options
  const device = new Device(library, instance, { mode, bindingBytes, bindings, allowFallback, ending })
  platform.watch(device)
  return {
    name: 'gpu',
    info: () => ({
      mode,
      adapter,
      software: mode === 'webasm' || platform.software || /swiftshader|llvmpipe|software/i.test(adapter),
      bindingBytes,
      bindings,
      kernels: device.compiled,
      fallbacks: [...device.fallbacks],
      passedOver,
    }),
    submitted: () => device.submitted(),
    destroy: () => device.destroy(),
    ...storage(device),
    ...kernels(device),
  }
}

function storage(
  device: Device,
): Pick<Backend, 'upload' | 'arrived' | 'read' | 'readSync' | 'write' | 'free' | 'memory' | 'resetPeak' | 'random'> {
  const upload = device.guard((dtype: Buffer['dtype'], data: TypedArray, matrices?: Matrices): Buffer => {
    const buffer = device.alloc(dtype, data.length)
    device.upload(buffer, data, matrices)
    return buffer
  })
  return {
    upload,
    arrived: (buffers) => device.arrived(buffers.map((buffer) => device.own(buffer))),
    read: async (buffer) => {
      const own = device.own(buffer)
      return own.length === 0 ? zeroArray(own.dtype, 0) : device.read(own)
    },
    readSync() {
      throw new BackendError(
        'gpu: the memory of a GPU cannot be read at once; use await x.data(), await x.moved(backend) for a copy elsewhere, or await moveTo(backend, model, optimizer)',
      )
    },
    write(buffer, data, matrices) {
      device.upload(device.own(buffer), data, matrices)
      buffer.version++
    },
    free: (buffer) => device.free(buffer),
    memory: () => ({
      bytes: device.bytes,
      buffers: device.buffers,
      peakBytes: device.peakBytes,
      heldBytes: device.bytes,
      peakHeldBytes: device.peakBytes,
      derivedBytes: 0,
      workspaceBytes: 0,
      reservedBytes: device.bytes,
    }),
    resetPeak() {
      device.peakBytes = device.bytes
    },
    // The numbers are drawn by the host: Philox is made of 32-bit products, which kernels of gpu.js do not have.
    random(kind, dtype, length, { seed, offset }) {
      const numbers = new Float32Array(length)
      random(kind, seed, offset, numbers)
      return upload(dtype, numbers)
    },
  }
}

/** All kernels, each of which leaves nothing behind if it throws. */
function kernels(device: Device) {
  const reductions = reduceKernels(device)
  const all = {
    ...elementwiseKernels(device),
    ...copyKernels(device),
    ...reductions,
    ...matmulKernels(device),
    ...convKernels(device),
    ...poolKernels(device),
    ...interpolateKernels(device),
    ...normKernels(device),
    ...softmaxKernels(device, reductions.reduce),
  }
  return Object.fromEntries(
    Object.entries(all).map(([name, kernel]) => [name, device.guard(kernel as (...args: unknown[]) => unknown)]),
  ) as unknown as typeof all
}
