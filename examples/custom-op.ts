// An op of your own from one scalar formula: any shape, gradients of any order, one kernel on every backend.
// The op is "snake", x + sin(a x)^2 / a, for signals that repeat (Ziyin et al., 2020, arXiv:2006.08195).
import { elementwise, f, grad, randn, sum, tensor, tidy } from '@convnets/tensor'
import { checkGradient, checkSecondGradient } from '@convnets/testkit'

const snake = elementwise('snake', (x, a) => f.add(x, f.div(f.square(f.sin(f.mul(a, x))), a)))

// Operands broadcast as everywhere: one frequency per channel of an (N, C, H, W) tensor.
tidy(() => {
  const x = randn([2, 3, 4, 4], { seed: 1 })
  const frequency = tensor([0.5, 1, 2], { shape: [3, 1, 1], requiresGrad: true })
  const y = snake(x, frequency)
  const [slope] = grad(sum(y), [frequency])
  console.log('shape', y.shape, 'gradient by frequency', slope?.dataSync())
})

// The gradients were derived from the formula. Central differences in float64 say whether they are right.
const x = randn([2, 3, 4, 4], { seed: 2, dtype: 'float64' })
const frequency = tensor([0.5, 1, 2], { shape: [3, 1, 1], dtype: 'float64' })
for (const [order, check] of Object.entries({ first: checkGradient, second: checkSecondGradient })) {
  const { passed, errors } = check(snake, [x, frequency])
  console.log(`${order} derivatives: largest error ${Math.max(...errors).toExponential(1)}`)
  if (!passed) throw new Error(`The ${order} derivatives of snake are wrong: ${errors.join(', ')}.`)
}
