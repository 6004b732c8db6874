/** Models without numbers: built and run in no time, whatever their size. */
import { exchange, type Module } from '@convnets/nn'
import { type Backend, defaultBackend, setDefaultBackend, type Tensor, zeros } from '@convnets/tensor'
import { shapeOnly } from '@convnets/tensor/shape-only'

/** Runs `fn` with another default backend. */
export function onBackend<T>(backend: Backend, fn: () => T): T {
  const former = defaultBackend()
  setDefaultBackend(backend)
  try {
    return fn()
  } finally {
    setDefaultBackend(former)
  }
}

/**
 * Builds a model whose tensors have shapes and no numbers: no memory is taken and no weights are drawn, so that a network
 * of any size is there at once. It can be profiled, not run.
 *
 * ```ts
 * const model = withoutNumbers(() => efficientnet_l2())
 * ```
 */
export function withoutNumbers<T>(build: () => T): T {
  return onBackend(shapeOnly, build)
}

/** Runs `fn` with `model` on a backend that computes nothing. Its own tensors are not touched. */
export function standIn<T>(model: Module, backend: Backend, fn: () => T): T {
  const instead = ({ shape, dtype }: Tensor): Tensor => zeros(shape, { dtype, backend })
  return onBackend(backend, () => exchange(model, instead, fn))
}
