// Batch norm before the activation, after it, and without: how fast a network of convolutions trains, and at which rates.
// Ioffe and Szegedy, "Batch normalization", 2015, sections 3.2 (before the activation) and 3.3 (higher learning rates).
import { BatchNorm2d, Conv2d, GlobalAvgPool2d, type Layer, Linear, ReLU, Sequential } from '@convnets/nn'
import { experiment } from './lab/experiment.ts'
import { colors, figure, lossPanel } from './lab/figure.ts'
import { type Course, cells, initialize, trainEach } from './lab/training.ts'

/** What follows a convolution, and how it is drawn. */
const orders = {
  before: { name: 'convolution, batch norm, ReLU', color: colors.blue, dash: 'none' },
  after: { name: 'convolution, ReLU, batch norm', color: colors.vermilion, dash: '7 4' },
  none: { name: 'convolution, ReLU', color: colors.grey, dash: '2 3' },
}
type Order = keyof typeof orders
const names = Object.keys(orders) as Order[]

/** Twelve 3x3 convolutions, four of each width, from He's initialisation. */
function network(order: Order): Sequential {
  const layers: Layer[] = []
  let channels = 1
  for (const [i, width] of [8, 8, 8, 8, 16, 16, 16, 16, 32, 32, 32, 32].entries()) {
    const stride = i === 4 || i === 8 ? 2 : 1
    layers.push(new Conv2d(channels, width, { kernel: 3, padding: 1, stride, bias: order === 'none' }))
    if (order === 'before') layers.push(new BatchNorm2d(width))
    layers.push(new ReLU())
    if (order === 'after') layers.push(new BatchNorm2d(width))
    channels = width
  }
  return new Sequential(...layers, new GlobalAvgPool2d(), new Linear(channels, 10)).apply(initialize)
}
const networks = { before: () => network('before'), after: () => network('after'), none: () => network('none') }

await experiment({
  name: 'batch-norm',
  full: { pictures: 3000, size: 14, epochs: 3, rates: [0.01, 0.1, 1] },
  quick: { pictures: 128, size: 14, epochs: 1, rates: [0.1] },
  async measure({ rates, ...recipe }) {
    const runs: { lr: number; courses: Record<Order, Course> }[] = []
    for (const lr of rates) runs.push({ lr, courses: await trainEach(networks, { ...recipe, lr }) })
    return runs
  },
  draw: (runs) =>
    figure({
      title: 'Training loss with batch norm before the activation, after it, and without',
      legend: Object.values(orders),
      panels: [
        runs.map(({ lr, courses }) => {
          const lines = names.map((name) => ({ ...orders[name], ...courses[name] }))
          return lossPanel(`Learning rate ${lr}`, 310, lines)
        }),
      ],
    }),
  table: (runs) =>
    runs.flatMap(({ lr, courses }) =>
      names.map((name) => ({ layers: orders[name].name, 'learning rate': `${lr}`, ...cells(courses[name]) })),
    ),
})
