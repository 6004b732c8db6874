/** What a tensor in a module's field is: a parameter that training changes, a buffer that belongs to the state, or neither. */
import { ArgumentError, GradientError, readOptions, Tensor } from '@convnets/tensor'

/** Part that a tensor plays in the state of a module. */
export type Role = 'parameter' | 'buffer' | 'transient'

const roles: WeakMap<Tensor, Role> = new WeakMap()

/** The part that a tensor was given by `parameter` or `buffer`; undefined for other tensors, which modules ignore. */
export function roleOf(tensor: Tensor): Role | undefined {
  return roles.get(tensor)
}

function adopt(op: string, values: Tensor, role: Role): Tensor {
  if (!(values instanceof Tensor)) throw new ArgumentError(`${op}: values expects a Tensor, got ${typeof values}`)
  if (values.node !== undefined) {
    throw new GradientError(
      `${op}: values expects a leaf, got ${values.describe()}; make it under noGrad or detach() it`,
    )
  }
  roles.set(values.keep(), role)
  return values
}

/**
 * Makes a tensor a parameter: a leaf that requires its gradient, lives outside of all scopes until `dispose`, and is
 * found by `Module.parameters()` when it lies in a field. PyTorch's `nn.Parameter`. Gives the tensor itself.
 *
 * @throws DTypeError for tensors that are no floats, GradientError for a tensor that an op made under recording.
 */
export function parameter(values: Tensor): Tensor {
  adopt('parameter', values, 'parameter').requiresGrad = true
  return values
}

/**
 * Makes a tensor a buffer: state of a module that no gradient flows to (running statistics). It lives until `dispose`.
 * PyTorch's `register_buffer`. Gives the tensor itself.
 *
 * @param options `persistent: false` keeps it out of state dicts; it still moves with `Module.to`.
 */
export function buffer(values: Tensor, options: { readonly persistent?: boolean } = {}): Tensor {
  const { persistent } = readOptions('buffer', options, { persistent: true })
  return adopt('buffer', values, persistent ? 'buffer' : 'transient')
}

/** `next` in the place of `former`: same role, same wish for a gradient. */
export function succeed(former: Tensor, next: Tensor): Tensor {
  const role = roles.get(former)
  if (role !== undefined) roles.set(next.keep(), role)
  next.requiresGrad = former.requiresGrad
  return next
}
