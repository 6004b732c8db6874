/** Threads of the wasm backend. */
import type { Kernel } from './engine.ts'
import type { Heap } from './memory.ts'

export class Pool {
  constructor(_heap: Heap, _threads?: number) {}

  /** Runs the parts on several threads; false if there is only one, and nothing was done. */
  run(_kernel: Kernel, _args: readonly number[], _units: number, _parts: number): boolean {
    return false
  }
}
