// Degradation: without shortcuts, a deeper network trains worse; with them, it does not.
// He et al., "Deep residual learning for image recognition", 2015, section 4.2 and figure 6.
import { plain20, plain56, resnet20, resnet56 } from '@convnets/models-modern'
import { experiment, seed } from './lab/experiment.ts'
import { colors, figure, lossPanel } from './lab/figure.ts'
import { cells, trainEach } from './lab/training.ts'

const options = { inChannels: 1, numClasses: 10, seed }
const networks = {
  plain20: () => plain20(options),
  plain56: () => plain56(options),
  resnet20: () => resnet20(options),
  resnet56: () => resnet56(options),
}
const looks = {
  plain20: { name: 'plain-20', color: colors.vermilion, dash: '5 4' },
  plain56: { name: 'plain-56', color: colors.vermilion, dash: 'none' },
  resnet20: { name: 'ResNet-20', color: colors.blue, dash: '5 4' },
  resnet56: { name: 'ResNet-56', color: colors.blue, dash: 'none' },
}
type Name = keyof typeof networks

await experiment({
  name: 'degradation',
  full: { pictures: 6000, size: 14, epochs: 6, lr: 0.02 },
  quick: { pictures: 64, size: 14, epochs: 1, lr: 0.1 },
  measure: (recipe) => trainEach(networks, recipe),
  draw: (courses) => {
    const line = (name: Name) => ({ ...looks[name], ...courses[name] })
    return figure({
      title: 'Training loss at 20 and at 56 layers, without shortcuts and with them',
      legend: Object.values(looks),
      panels: [
        [
          lossPanel('Plain networks', 400, [line('plain20'), line('plain56')]),
          lossPanel('Residual networks', 400, [line('resnet20'), line('resnet56')]),
        ],
      ],
    })
  },
  table: (courses) =>
    (Object.keys(networks) as Name[]).map((name) => ({ network: looks[name].name, ...cells(courses[name]) })),
})
