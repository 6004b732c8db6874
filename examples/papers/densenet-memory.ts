// DenseNet's memory: joined maps that are kept grow with the square of the depth; computed again for the gradient they do
// not, at the price of time. Pleiss et al., "Memory-efficient implementation of DenseNets", 2017, figures 3 and 4.
import { DenseNet } from '@convnets/models-modern'
import { randn, seeded, tensor } from '@convnets/tensor'
import { experiment, seed } from './lab/experiment.ts'
import { colors, figure, linePanel } from './lab/figure.ts'
import { stepCosts } from './lab/step-cost.ts'

const kinds = {
  kept: { name: 'joined maps kept', color: colors.vermilion, dash: 'none' },
  again: { name: 'computed again (memoryEfficient)', color: colors.blue, dash: '7 4' },
}

/** DenseNet-BC for small images with growth rate 12: three blocks of n layers, each with two convolutions. */
function network(layers: number, memoryEfficient: boolean): DenseNet {
  const n = (layers - 4) / 6
  const config = { name: `densenet_bc_${layers}_12`, growth: 12, depths: [n, n, n], input: 'cifar' } as const
  return seeded(seed, () => new DenseNet(config, { inChannels: 1, numClasses: 10, memoryEfficient }))
}

await experiment({
  name: 'densenet-memory',
  full: { depths: [22, 40, 58, 76, 100], batchSize: 8, size: 28, repeats: 9 },
  quick: { depths: [22], batchSize: 4, size: 28, repeats: 1 },
  async measure({ depths, batchSize, size, repeats }) {
    const input = randn([batchSize, 1, size, size], { seed })
    const target = tensor(
      Array.from({ length: batchSize }, (_, i) => i % 10),
      { dtype: 'int32' },
    )
    return depths.map((layers) => {
      const models = [network(layers, false), network(layers, true)]
      const [kept, again] = stepCosts(models, input, target, repeats)
      for (const model of models) model.dispose()
      if (!(again!.megabytes < kept!.megabytes)) throw new Error('memoryEfficient should have taken less memory')
      return { layers, kept: kept!, again: again! }
    })
  },
  draw(rows) {
    const panel = (heading: string, of: 'megabytes' | 'seconds', y: string) => {
      const line = (kind: 'kept' | 'again') => ({
        ...kinds[kind],
        points: rows.map((row) => [row.layers, row[kind][of]]),
      })
      return linePanel(heading, { x: 'layers', y }, [line('kept'), line('again')])
    }
    const panels = [panel('Peak memory', 'megabytes', 'megabytes'), panel('Time', 'seconds', 'CPU seconds')]
    return figure({ title: 'A training step of DenseNet-BC by depth', legend: Object.values(kinds), panels: [panels] })
  },
  table: (rows) =>
    rows.map(({ layers, kept, again }) => ({
      layers: `${layers}`,
      'peak, kept': `${kept.megabytes.toFixed(0)} MB`,
      'peak, computed again': `${again.megabytes.toFixed(0)} MB`,
      'part of memory': (again.megabytes / kept.megabytes).toFixed(2),
      'CPU time, kept': `${kept.seconds.toFixed(2)} s`,
      'CPU time, computed again': `${again.seconds.toFixed(2)} s`,
    })),
})
