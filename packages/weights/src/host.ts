/** Node's modules, where there are any. Nothing here is imported before it is needed, so browser bundles stay whole. */
import { BackendError } from '@convnets/tensor'

type NodeModule = 'node:fs' | 'node:path' | 'node:url' | 'node:os' | 'node:crypto'

/** Whether there is a file system. */
export const hasFiles = (): boolean => typeof process !== 'undefined' && typeof process.getBuiltinModule === 'function'

/** A module of Node's, reached without an import that bundlers for browsers would stumble over. */
export function builtin<ID extends NodeModule>(
  id: ID,
  wanted: string,
): ReturnType<typeof process.getBuiltinModule<ID>> {
  if (!hasFiles()) {
    throw new BackendError(`${wanted}: expects a file system (Node 20.16 or newer), got a host without one`)
  }
  return process.getBuiltinModule(id)
}
