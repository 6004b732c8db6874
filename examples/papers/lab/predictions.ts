/** What a classifier says of pictures, and how far it can be believed. */
import type { DataLoader } from '@convnets/data'
import type { CifarResNet } from '@convnets/models-modern'
import { globalAvgPool2d, noGrad, softmax, tidy } from '@convnets/tensor'

export interface Prediction {
  readonly label: number
  /** Probability of the class that is thought most likely. */
  readonly confidence: number
  readonly right: boolean
  /** What goes into the last layer. */
  readonly features: readonly number[]
}

/** Predictions for all pictures of a loader. */
export function predict(model: CifarResNet, loader: DataLoader): Prediction[] {
  const predictions: Prediction[] = []
  model.eval()
  for (const { input, target } of loader.epoch(0)) {
    const { features, probabilities } = tidy(() =>
      noGrad(() => {
        const features = globalAvgPool2d(model.forwardFeatures(input))
        const probabilities = softmax(model.linear.forward(features), { dim: 1 })
        return {
          features: Array.from(features.dataSync(), Number),
          probabilities: Array.from(probabilities.dataSync(), Number),
        }
      }),
    )
    const labels = Array.from(target.dataSync(), Number)
    for (const [i, label] of labels.entries()) {
      const row = <T>(all: readonly T[]): T[] =>
        all.slice((i * all.length) / labels.length, ((i + 1) * all.length) / labels.length)
      const own = row(probabilities)
      const confidence = Math.max(...own)
      predictions.push({ label, confidence, right: own.indexOf(confidence) === label, features: row(features) })
    }
    input.dispose()
    target.dispose()
  }
  return predictions
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

interface Bin {
  readonly confidence: number
  readonly accuracy: number
  readonly count: number
}

export interface Calibration {
  /** Bins of equal width that are not empty. */
  readonly bins: readonly Bin[]
  /** Expected calibration error: mean distance of accuracy and confidence, bins weighted by count. Guo et al. 2017, (3). */
  readonly error: number
  readonly confidence: number
  readonly accuracy: number
}

/** Confidence against accuracy. */
export function calibration(predictions: readonly Prediction[], count = 15): Calibration {
  const bins = Array.from({ length: count }, (_, i) => {
    // The first bin takes 0 as well; otherwise a bin has its upper end, not its lower one.
    const own = predictions.filter(({ confidence }) => Math.max(0, Math.ceil(confidence * count) - 1) === i)
    const of = (value: (prediction: Prediction) => number): number => (own.length === 0 ? 0 : mean(own.map(value)))
    return { confidence: of((p) => p.confidence), accuracy: of((p) => Number(p.right)), count: own.length }
  }).filter(({ count }) => count > 0)
  const error = bins.reduce((sum, bin) => sum + bin.count * Math.abs(bin.accuracy - bin.confidence), 0)
  return {
    bins,
    error: error / predictions.length,
    confidence: mean(predictions.map(({ confidence }) => confidence)),
    accuracy: mean(predictions.map(({ right }) => Number(right))),
  }
}

/**
 * Mean squared distance of features from their class's mean, relative to that of the classes' means from the mean of all:
 * small where classes are tight and far apart.
 */
export function tightness(predictions: readonly Prediction[]): number {
  const average = (rows: readonly (readonly number[])[]): number[] =>
    rows[0]!.map((_, i) => mean(rows.map((row) => row[i]!)))
  const distance = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0)
  const all = average(predictions.map(({ features }) => features))
  const centers = new Map(
    [...new Set(predictions.map(({ label }) => label))].map((label) => {
      const own = predictions.filter((prediction) => prediction.label === label)
      return [label, average(own.map(({ features }) => features))]
    }),
  )
  const within = mean(predictions.map(({ label, features }) => distance(features, centers.get(label)!)))
  return within / mean(predictions.map(({ label }) => distance(centers.get(label)!, all)))
}
