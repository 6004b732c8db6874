/** Jobs that go wrong. */
import { ShapeError, Tensor, zeros } from '@convnets/tensor'
import type { JobContext } from '@convnets/tensor/worker'
import { type FunctionBuilder, i32, type Local } from '../../packages/tensor/src/backends/wasm/asm.ts'
import type { Kernel } from '../../packages/tensor/src/backends/wasm/kernel-cache.ts'
import { wasmEngine } from '../../packages/tensor/src/backends/wasm/wasm.ts'

/** A kernel that takes its time and runs `elsewhere` on all threads but the calling one. */
function slowKernel(name: string, elsewhere: (b: FunctionBuilder, at: Local<'i32'>) => void): Kernel {
  return wasmEngine().kernel(`test: ${name}`, (m) =>
    m.func('run', ['i32', 'i32', 'i32', 'i32'], (b, at, from, _to, thread) => {
      b.if(thread, () => elsewhere(b, at))
      const [left, rest] = [b.let(i32.const(1e6)), b.let(from)]
      b.repeat(left, () => b.set(rest, i32.remU(i32.add(rest, 1e9), i32.or(left, 1))))
      b.emit(i32.store(at, i32.eq(rest, -1)))
    }),
  )
}

/** Runs a kernel over and over until `enough` says so, for twenty seconds at most. */
function runOften(kernel: Kernel, enough: (word: Int32Array) => boolean): boolean {
  const engine = wasmEngine()
  const word = engine.alloc('int32', 2)
  try {
    for (const end = performance.now() + 20_000; performance.now() < end; ) {
      engine.parallel(kernel, [word.ptr], 64, 1)
      if (enough(engine.array(word) as Int32Array)) return true
    }
    return false
  } finally {
    engine.free(word)
  }
}

export const faults = {
  /** Runs kernels on several threads of which all but this one go wrong in the middle. */
  threadThat(fault: 'traps' | 'hangs'): void {
    runOften(
      slowKernel(fault, (b) => (fault === 'traps' ? b.unreachable() : b.loop((again) => again()))),
      () => false,
    )
  },

  /** Whether another thread takes part in kernels; false where there is none. */
  help(): boolean {
    if (wasmEngine().pool.threads === 1) return false
    return runOften(
      slowKernel('helps', (b, at) => b.emit(i32.store(i32.add(at, 4), 1))),
      (word) => word[1] === 1,
    )
  },

  /** Ends the worker from inside, in the middle of the job. */
  async closesItself(): Promise<void> {
    close()
    await new Promise(() => {})
  },

  shapes(): void {
    zeros([2, 3]).add(zeros([4]))
  },

  error(): void {
    throw new TypeError('no good', { cause: new ShapeError('the cause') })
  },

  givesTensor(): { deep: unknown[] } {
    return { deep: [zeros([2])] }
  },

  givesFunction(): unknown {
    return () => Tensor
  },

  /** Counts until it is stopped; gives what `instead` says when it is. */
  async counts({ instead }: { instead?: string }, { progress, signal }: JobContext<number>): Promise<string> {
    for (let n = 0; ; n++) {
      try {
        await progress(n)
      } catch (error) {
        if (instead === undefined) throw error
        return `${instead} ${signal.aborted}`
      }
    }
  },
}
