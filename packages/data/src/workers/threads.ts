/** Whether there are threads, and which this is. */

export type WorkerThreads = typeof import('node:worker_threads')

/** What tells a worker of ours from others. */
export const MARK = '@convnets/data: worker'

// Not imported: a browser has no such module, and a bundler would look for it.
export function workerThreads(): WorkerThreads | undefined {
  return globalThis.process?.getBuiltinModule?.('node:worker_threads')
}

/** Whether this host has worker threads that share memory. */
export function canHaveWorkers(): boolean {
  return workerThreads() !== undefined && typeof SharedArrayBuffer === 'function'
}

/** Whether this is the thread of a loader's worker. */
export function isWorker(): boolean {
  const data: unknown = workerThreads()?.workerData
  return typeof data === 'object' && data !== null && 'mark' in data && data.mark === MARK
}
