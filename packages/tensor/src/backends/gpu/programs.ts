/** Programs for the device: compiled when they are first called, kept, and called with what a mode needs around it. */
import { BackendError, OutOfMemoryError } from '../../errors.ts'
import {
  flat,
  type GpuMode,
  type Handle,
  type Instance,
  type Kernel,
  type KernelSettings,
  ranOn,
  release,
} from './library.ts'

/** The source of a kernel, and of what types its arguments are. */
export interface Program {
  readonly text: string
  readonly types: readonly string[]
}

/** A kernel that gpu.js ran on the CPU. */
export interface Fallback {
  readonly op: string
  readonly reason: string
}

export class Programs {
  readonly fallbacks: Fallback[] = []
  readonly #instance: Instance
  readonly #mode: GpuMode
  readonly #allowFallback: boolean
  readonly #failed: (op: string, cause: unknown) => Promise<BackendError>
  /** Those that ran last stand last. */
  readonly #kernels = new Map<string, Kernel>()

  /** @param failed gives the error for what a call of gpu.js threw. */
  constructor(
    instance: Instance,
    mode: GpuMode,
    allowFallback: boolean,
    failed: (op: string, cause: unknown) => Promise<BackendError>,
  ) {
    this.#instance = instance
    this.#mode = mode
    this.#allowFallback = allowFallback
    this.#failed = failed
  }

  /** How many are compiled. */
  get size(): number {
    return this.#kernels.size
  }

  /** The `length` numbers that `program` gives, each of its threads `cells` of them. */
  async call(
    op: string,
    program: Program,
    args: readonly unknown[],
    length: number,
    cells: 1 | 4 = 1,
  ): Promise<Handle> {
    const handle = await this.#run(op, program, args, length / cells)
    if (cells === 1) return handle
    if (this.#mode !== 'webgl2') return flat(handle, length)
    try {
      return await this.#run(op, unpacking, [handle], length)
    } finally {
      release(handle)
    }
  }

  /** Lets go of a program and of what its kernel holds; called again, it is compiled again. */
  forget({ text }: Pick<Program, 'text'>): void {
    this.#kernels.get(text)?.destroy()
    this.#kernels.delete(text)
  }

  destroy(): void {
    for (const kernel of this.#kernels.values()) kernel.destroy()
    this.#kernels.clear()
  }

  async #run(op: string, program: Program, args: readonly unknown[], threads: number): Promise<Handle> {
    for (;;) {
      try {
        const kernel = this.#kernel(program)
        kernel.setOutput([threads])
        const handle = await kernel(...args)
        const ran = ranOn(kernel)
        if (ran !== this.#mode) this.#fellBack({ op, reason: `${ran}: ${String(kernel.kernel.fallbackReason)}` })
        letGo(kernel)
        return handle
      } catch (cause) {
        if (cause instanceof BackendError) throw cause
        const error = await this.#failed(op, cause)
        if (!(error instanceof OutOfMemoryError && this.#makeRoom(program))) throw error
      }
    }
  }

  #kernel({ text, types }: Program): Kernel {
    const kernel = this.#kernels.get(text) ?? this.#instance.createKernel(text, { ...settings, argumentTypes: types })
    this.#kernels.delete(text)
    this.#kernels.set(text, kernel)
    return kernel
  }

  /**
   * In WebAssembly every kernel of gpu.js has memories of its own, of which a browser allows about 125 in all: forgets the
   * one that found no room, to be compiled again, and of the others the half that has not run for longest. Whether that
   * may have helped.
   */
  #makeRoom(program: Program): boolean {
    const others = [...this.#kernels.keys()].filter((other) => other !== program.text)
    if (this.#mode !== 'webasm' || others.length === 0) return false
    const oldest = others.slice(0, Math.ceil(others.length / 2)).map((text) => ({ text }))
    for (const old of [program, ...oldest]) this.forget(old)
    return true
  }

  #fellBack({ op, reason }: Fallback): void {
    if (!this.#allowFallback) {
      throw new BackendError(
        `${op}: the kernel does not run in mode ${this.#mode}, gpu.js fell back to ${reason}; ` +
          'gpu({ allowFallback: true }) permits that',
      )
    }
    if (!this.fallbacks.some((known) => known.op === op && known.reason === reason)) this.fallbacks.push({ op, reason })
  }
}

/** A kernel of gpu.js holds on to what it wrote last until it runs again; the handle alone is to decide here. */
function letGo({ kernel }: Kernel): void {
  const held = kernel.outputBuffer
  if (held == null || held._refs === undefined) return
  held._refs--
  kernel.outputBuffer = null
}

/** WebGL has four results of a thread in one texel. */
const unpacking: Program = {
  text: `function (x) {
    let i = 0; i++; i = this.thread.x >> 2;
    let c = 0; c++; c = this.thread.x - i * 4;
    const v = x[i];
    if (c === 0) { return v[0]; }
    if (c === 1) { return v[1]; }
    if (c === 2) { return v[2]; }
    return v[3];
  }`,
  types: ['ArrayTexture(4)'],
}

/** `tactic`: else WebGL computes small outputs in half precision, where the device has it. */
export const settings: Omit<KernelSettings, 'argumentTypes'> = {
  output: [1],
  dynamicOutput: true,
  dynamicArguments: true,
  pipeline: true,
  immutable: true,
  precision: 'single',
  tactic: 'precision',
  asyncMode: true,
  loopMaxIterations: 0x7fffffff,
}
