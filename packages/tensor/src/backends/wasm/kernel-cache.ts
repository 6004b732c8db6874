/** Kernels: emitted and compiled when they are first asked for, and kept. */
import { BackendError } from '../../errors.ts'
import { f32x4, ModuleBuilder } from './asm.ts'
import type { Heap } from './memory.ts'

/** A compiled kernel: `run` takes numbers (pointers, sizes, f32 values) and returns a number or nothing. */
export interface Kernel {
  readonly id: number
  readonly key: string
  readonly run: (...args: number[]) => number | undefined
  /** The module, from which other threads compile their own instance. */
  readonly code: Uint8Array<ArrayBuffer>
  /** How many parts of jobs it ran while it was young; see `runAlone`. */
  parts: number
  /** Milliseconds that jobs took lately, by their units: callers tell only how long they take at least. */
  readonly times: Map<number, number>
}

type Writable<T> = { -readonly [K in keyof T]: T[K] }

/** Whether the host has relaxed SIMD, once Node 20 has been told to turn it on; it is standard in later engines. */
export function hasRelaxedSimd(): boolean {
  const m = new ModuleBuilder()
  m.func('run', ['v128'], (b, x) => b.set(x, f32x4.madd(x, x, x)))
  const code = m.encode({ initial: 0, maximum: 1 })
  const { process } = globalThis
  if (!WebAssembly.validate(code) && process?.versions?.v8?.startsWith('11.')) {
    process.getBuiltinModule?.('node:v8')?.setFlagsFromString('--experimental-wasm-relaxed-simd')
  }
  return WebAssembly.validate(code)
}

/** What an error says. */
export function message(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

export class KernelCache {
  readonly #kernels: Map<string, Writable<Kernel>> = new Map()
  /** How often all were compiled anew. */
  #edition = 0

  /** See `Engine.kernel`. */
  of(key: string, build: (m: ModuleBuilder) => void, fma: boolean, heap: Heap): Kernel {
    const known = this.#kernels.get(key)
    if (known) return known
    const m = new ModuleBuilder(fma)
    build(m)
    try {
      const code = m.encode({ initial: 1, maximum: 65536, shared: heap.shared })
      const kernel = { id: this.#kernels.size, key, parts: 0, times: new Map(), ...this.#compile(code, heap) }
      this.#kernels.set(key, kernel)
      return kernel
    } catch (cause) {
      throw new BackendError(`wasm: kernel ${key} does not compile: ${message(cause)}`, { cause })
    }
  }

  #compile(source: Uint8Array<ArrayBuffer>, { memory }: Heap): Pick<Kernel, 'run' | 'code'> {
    let code = source
    if (this.#edition > 0) {
      // A section without a meaning: hosts keep the code of modules whose bytes they know.
      code = new Uint8Array(source.length + 5)
      code.set(source)
      code.set([0, 3, 0, this.#edition & 255, (this.#edition >> 8) & 255], source.length)
    }
    const instance = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } })
    return { run: instance.exports.run as Kernel['run'], code }
  }

  /** Compiles all anew. */
  recompile(heap: Heap): void {
    const last = this.#edition > 0 ? 5 : 0
    this.#edition++
    for (const kernel of this.#kernels.values()) {
      Object.assign(kernel, this.#compile(kernel.code.slice(0, kernel.code.length - last), heap), { parts: 0 })
      kernel.times.clear()
    }
  }
}
