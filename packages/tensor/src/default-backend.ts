/** The one piece of global state beside the default generator: the backend of tensors made without naming one. */
import type { Backend } from './backends/backend.ts'
import { wasm } from './backends/wasm/wasm.ts'
import { ArgumentError } from './errors.ts'

let current: Backend = wasm

/** The backend of tensors made without naming one; `wasm` at first. */
export function defaultBackend(): Backend {
  return current
}

/** Changes the backend of tensors that are made from now on. Existing tensors stay where they are. */
export function setDefaultBackend(backend: Backend): void {
  if (typeof backend !== 'object' || backend === null || typeof backend.upload !== 'function') {
    throw new ArgumentError(
      `setDefaultBackend: backend expects a Backend such as wasm or reference, got ${String(backend)}`,
    )
  }
  current = backend
}
