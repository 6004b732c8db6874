/** Other tensors in a module for a while: what functional calls, profilers and averages of weights are made of. */
import { noGrad, type Tensor } from '@convnets/tensor'
import type { Module } from './module.ts'
import { isModule } from './module.ts'
import { type Role, succeed } from './parameter.ts'
import { walk } from './walk.ts'

/**
 * Runs `fn` with every parameter and buffer of `module` replaced by what `instead` gives for it, and puts the module's own
 * back, whatever happens; the others are freed. Each stand-in takes over the role and `requiresGrad` of the tensor it stands
 * for, and may lie on another backend. PyTorch's `torch.func.functional_call`.
 *
 * @param instead gives a new leaf; it is called once for a tensor that lies in several places.
 */
export function exchange<T>(module: Module, instead: (tensor: Tensor, role: Role) => Tensor, fn: () => T): T {
  const places = [...walk<Module>(module, isModule)].flatMap((found) => ('tensor' in found ? [found] : []))
  const others: Map<Tensor, Tensor> = new Map()
  try {
    for (const { tensor, role } of places) {
      if (!others.has(tensor))
        others.set(
          tensor,
          succeed(
            tensor,
            noGrad(() => instead(tensor, role)),
          ),
        )
    }
    for (const { tensor, replace } of places) replace(others.get(tensor) as Tensor)
    return fn()
  } finally {
    for (const { tensor, replace } of places) replace(tensor)
    for (const other of others.values()) other.dispose()
  }
}
