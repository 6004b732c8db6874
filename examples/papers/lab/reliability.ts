/** A reliability diagram. */
import * as Plot from '@observablehq/plot'
import type { Panel } from './figure.ts'
import type { Calibration } from './predictions.ts'

/** Accuracy by confidence: points on the diagonal would be right as often as they say; areas are by number of pictures. */
export function reliabilityPanel(heading: string, { bins }: Calibration, color: string): Panel {
  return {
    heading,
    width: 380,
    height: 380,
    marginBottom: 44,
    marginRight: 24,
    x: { label: 'confidence', domain: [0, 1], ticks: 5 },
    y: { label: 'accuracy', domain: [0, 1], ticks: 5, grid: true },
    r: { type: 'sqrt', domain: [0, 1000], range: [0, 30] },
    marks: [
      Plot.line(
        [
          [0, 0],
          [1, 1],
        ],
        { stroke: '#666', strokeDasharray: '4 4' },
      ),
      Plot.link(bins, { x1: 'confidence', x2: 'confidence', y1: 'confidence', y2: 'accuracy', stroke: color }),
      Plot.dot(bins, { x: 'confidence', y: 'accuracy', r: 'count', fill: color, fillOpacity: 0.35, stroke: color }),
    ],
  }
}
