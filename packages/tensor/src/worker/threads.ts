/** Which threads the wasm backend has here, why not more, and starting them ahead of the first kernel. */
import type { Obstacle } from '../backends/wasm/pool.ts'
import { getThreads, setThreads, wasmEngine } from '../backends/wasm/wasm.ts'
import { availableThreads } from '../backends/wasm/worker.ts'

/** The threads of the wasm backend in this page, worker or process. */
export interface ThreadInfo {
  /** Threads that kernels use, the calling one included. Results do not depend on it. */
  readonly threads: number
  /** Threads that the host runs at once. */
  readonly cores: number
  /** Why there is one thread only, as a sentence; undefined where there are several. */
  readonly reason: string | undefined
}

const reasons: Readonly<Record<Obstacle, string>> = {
  memory:
    'There is no shared memory. A page has it when it is cross-origin isolated: served over HTTPS or from localhost with ' +
    'the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp.',
  workers: 'This host starts no workers from here.',
  waiting: 'The main thread of a browser must not wait for others: run the engine in a worker, by connect and serve.',
  failed:
    'Threads were started and did not come up. Where a page has a Content-Security-Policy, its worker-src must allow blob:.',
}

function reason(threads: number): string | undefined {
  const { obstacle } = wasmEngine().pool
  if (obstacle !== undefined) return reasons[obstacle]
  if (threads > 1) return undefined
  return availableThreads() > 1 ? 'One thread was asked for by setThreads.' : 'The host has one core.'
}

/** The threads of the wasm backend here. */
export function threadInfo(): ThreadInfo {
  const threads = getThreads()
  return { threads, cores: availableThreads(), reason: reason(threads) }
}

/** Options of `startThreads`. */
export interface StartOptions {
  /** Threads to have, the calling one included; by default what `setThreads` has set, at first one per core, at most 8. */
  readonly threads?: number | undefined
}

/**
 * Starts the threads of the wasm backend and resolves when they are up, or when it is clear that they will not be: to what
 * there is then. Without it they start by themselves at the first work that is worth it, in a browser at the first turn of
 * the event loop after that, which a loop that never awaits one does not give. `serve` does this before its first job.
 *
 * @throws ArgumentError unless `threads` is an integer from 1 to 64.
 */
export async function startThreads({ threads }: StartOptions = {}): Promise<ThreadInfo> {
  if (threads !== undefined) setThreads(threads)
  await wasmEngine().pool.start()
  return threadInfo()
}
