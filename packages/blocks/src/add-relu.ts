/** The end of a residual block in one kernel. */
import { elementwise, f, type Tensor } from '@convnets/tensor'

const op = /* @__PURE__ */ elementwise('addRelu', (a, b) => f.max(f.add(a, b), 0), {
  derivative: (_, __, y) => f.gt(y, 0),
})

/** max(a + b, 0), in one pass over memory; the gradient is kept by the output alone. */
export function addRelu(a: Tensor, b: Tensor): Tensor {
  return op(a, b)
}
