/** The network of the training goldens, from ops: conv-bn-relu, a residual conv-bn-relu, pool, linear. */
import {
  type Backend,
  batchNormInference,
  batchNormTraining,
  conv2d,
  globalAvgPool2d,
  linear,
  maxPool2d,
  noGrad,
  type Tensor,
  tensor,
} from '@convnets/tensor'
import { fillValue } from '@convnets/testkit'

const shapes: Readonly<Record<string, readonly number[]>> = {
  'conv1.weight': [8, 3, 3, 3],
  'bn1.weight': [8],
  'bn1.bias': [8],
  'conv2.weight': [8, 4, 3, 3],
  'bn2.weight': [8],
  'bn2.bias': [8],
  'fc.weight': [5, 8],
  'fc.bias': [5],
}

const statistics = ['bn1.running_mean', 'bn1.running_var', 'bn2.running_mean', 'bn2.running_var']

export class TinyNet {
  training = true
  readonly parameters: Map<string, Tensor>
  readonly buffers: Map<string, Tensor>

  constructor(salt: string, backend: Backend, dtype: 'float32' | 'float64') {
    const make = (key: string, shape: readonly number[], requiresGrad: boolean): [string, Tensor] => [
      key,
      tensor(fillValue(key, shape, { salt }), { shape, dtype, backend, requiresGrad }),
    ]
    this.parameters = new Map(Object.entries(shapes).map(([key, shape]) => make(key, shape, true)))
    this.buffers = new Map(statistics.map((key) => make(key, [8], false)))
  }

  get(key: string): Tensor {
    return (this.parameters.get(key) ?? this.buffers.get(key)) as Tensor
  }

  namedParameters(): Map<string, Tensor> {
    return this.parameters
  }

  namedBuffers(): Map<string, Tensor> {
    return this.buffers
  }

  #norm(x: Tensor, name: string): Tensor {
    const [weight, bias] = [this.get(`${name}.weight`), this.get(`${name}.bias`)]
    const [mean, variance] = [this.get(`${name}.running_mean`), this.get(`${name}.running_var`)]
    if (!this.training) return batchNormInference(x, mean, variance, weight, bias)
    const batch = batchNormTraining(x, weight, bias)
    noGrad(() => {
      const values = x.size / (x.shape[1] as number)
      mean.assign_(mean.mul(0.9).add(batch.mean.mul(0.1)))
      variance.assign_(variance.mul(0.9).add(batch.variance.mul((0.1 * values) / (values - 1))))
    })
    return batch.output
  }

  forward(x: Tensor): Tensor {
    const a = this.#norm(conv2d(x, this.get('conv1.weight'), undefined, { padding: 1 }), 'bn1').relu()
    const b = conv2d(a, this.get('conv2.weight'), undefined, { padding: 1, groups: 2 })
    const c = a.add(this.#norm(b, 'bn2')).relu()
    return linear(globalAvgPool2d(maxPool2d(c, 2)).flatten(1), this.get('fc.weight'), this.get('fc.bias'))
  }

  dispose(): void {
    for (const tensor of [...this.parameters.values(), ...this.buffers.values()]) tensor.dispose()
  }
}
