// Label smoothing: confidence that fits the accuracy, and classes that are tighter in front of the last layer.
// Müller, Kornblith and Hinton, "When does label smoothing help?", 2019, figures 1 and 2 and table 3; smoothing itself:
// Szegedy et al., "Rethinking the Inception architecture", 2015, section 7.
import { resnet20 } from '@convnets/models-modern'
import { crossEntropy } from '@convnets/nn'
import { experiment, seed } from './lab/experiment.ts'
import { colors, figure } from './lab/figure.ts'
import { calibration, predict, tightness } from './lab/predictions.ts'
import { reliabilityPanel } from './lab/reliability.ts'
import { loaders, percent, train } from './lab/training.ts'

await experiment({
  name: 'label-smoothing',
  full: { pictures: 1000, size: 14, epochs: 30, lr: 0.1, smoothings: [0, 0.1] },
  quick: { pictures: 64, size: 14, epochs: 1, lr: 0.1, smoothings: [0.1] },
  async measure({ smoothings, ...recipe }) {
    const runs = []
    for (const labelSmoothing of smoothings) {
      const model = resnet20({ inChannels: 1, numClasses: 10, seed })
      const { loss } = await train(model, { ...recipe, loss: (x, y) => crossEntropy(x, y, { labelSmoothing }) })
      const predictions = predict(model, (await loaders(recipe)).test)
      runs.push({ labelSmoothing, loss, ...calibration(predictions), tightness: tightness(predictions) })
    }
    return runs
  },
  draw: (runs) =>
    figure({
      title: 'Confidence and accuracy of ResNet-20, without and with label smoothing',
      subtitle:
        'Dots: predictions of 1,000 test pictures by confidence, areas by their number. Below the diagonal: too sure of itself.',
      panels: [
        runs.map((run, i) => {
          const heading = `Label smoothing ${run.labelSmoothing}: calibration error ${percent(run.error)}`
          return reliabilityPanel(heading, run, i === 0 ? colors.vermilion : colors.blue)
        }),
      ],
    }),
  table: (runs) =>
    runs.map((run) => ({
      'label smoothing': `${run.labelSmoothing}`,
      'training loss, last epoch': run.loss?.toFixed(3) ?? 'not finite',
      'test accuracy': percent(run.accuracy),
      'mean confidence': percent(run.confidence),
      'expected calibration error': percent(run.error),
      'spread within classes / between': run.tightness.toFixed(3),
    })),
})
