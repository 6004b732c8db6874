// Squeeze and excitation: what the gates of a trained network do by class and depth, and what those of the last stage are
// worth. Hu et al., "Squeeze-and-excitation networks", 2017 (arXiv:1709.01507v4), section 7.2 and figure 6.
import { SqueezeExcitation } from '@convnets/blocks'
import { fashionMnistClasses } from '@convnets/data'
import { resnet20 } from '@convnets/models-modern'
import { Identity } from '@convnets/nn'
import { experiment, seed } from './lab/experiment.ts'
import { figure } from './lab/figure.ts'
import { gatePanels, holdStages, meanGates } from './lab/gates.ts'
import { cells, loaders, type Recipe, train } from './lab/training.ts'

/** ResNet-20 with gates in the blocks of up to so many channels: 16, 32 and 64 are the stages. */
async function trained(gated: number, recipe: Recipe) {
  const attention = (c: number) => (c > gated ? new Identity() : new SqueezeExcitation(c, { reduction: 4 }))
  const model = resnet20({ inChannels: 1, numClasses: 10, attention, seed })
  return { model, course: await train(model, recipe), parameters: model.parameterCount() }
}

await experiment({
  name: 'squeeze-excitation',
  full: { pictures: 6000, size: 14, epochs: 3, lr: 0.1 },
  quick: { pictures: 64, size: 14, epochs: 1, lr: 0.1 },
  async measure(recipe) {
    const { model, ...all } = await trained(64, recipe)
    const { test } = await loaders(recipe)
    const gates = meanGates(model, test)
    const held = await holdStages(model, gates, test)
    const [{ model: _, ...two }, { model: __, ...none }] = [await trained(32, recipe), await trained(0, recipe)]
    return { gates, held, all, two, none }
  },
  draw: ({ gates }) =>
    figure({
      title: 'Mean gates of SE-ResNet-20 on 1,000 test pictures, by class and channel',
      subtitle:
        'Channels by their mean. Numbers: standard deviation of the mean gate over the classes, averaged over channels.',
      panels: gatePanels(gates, fashionMnistClasses),
    }),
  table({ held, all, two, none }) {
    const row = (network: string, { parameters, course }: typeof all, differ = '') => ({
      network,
      parameters: `${parameters}`,
      ...cells(course),
      'classes differ by': differ,
    })
    return [
      row('gates in all stages', all),
      ...held.map(({ spread, accuracy }, i) => {
        const course = { ...all.course, accuracy }
        return row(`the same, gates of stage ${i + 1} held`, { ...all, course }, spread.toFixed(3))
      }),
      row('trained without gates in the last stage', two),
      row('trained without gates', none),
    ]
  },
})
