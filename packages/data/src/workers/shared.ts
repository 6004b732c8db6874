/** What the program has found out and its workers need not find out again. */
import { isWorker, workerThreads } from './threads.ts'

/** Makes plain data known to workers that start from now on. */
export function share(key: string, value: unknown): void {
  if (!isWorker()) workerThreads()?.setEnvironmentData(`@convnets/data: ${key}`, value as string)
}

/** What the program has made known, in a worker; undefined elsewhere. */
export function recall<T>(key: string): T | undefined {
  return isWorker() ? (workerThreads()?.getEnvironmentData(`@convnets/data: ${key}`) as T | undefined) : undefined
}
