/** A model measured on data. */
import { checkOptionNames, noGrad, optionNames, tidy } from '@convnets/tensor'
import { breather } from './breath.ts'
import {
  checkFunctions,
  checkLoader,
  checkSignal,
  disposeBatch,
  type Judgement,
  judge,
  type Loader,
  type Model,
  modesOf,
  samplesOf,
} from './data.ts'
import { checkTopK, hitsByRank, Meter, type Metrics } from './metrics.ts'

/** How far an evaluation is. */
export interface EvaluationProgress {
  /** Batches done, of `batches`. */
  readonly batch: number
  readonly batches: number
  /** Means so far. */
  readonly loss: number
  readonly accuracy?: number
}

/** How to measure. */
export interface EvaluateOptions<Output> extends Judgement<Output> {
  /** The k of top-k accuracies besides 1, such as [5]. Default none. */
  readonly topK?: readonly number[]
  readonly onProgress?: (progress: EvaluationProgress) => void
  readonly signal?: AbortSignal
}

const evaluateOptions = optionNames<EvaluateOptions<unknown>>({
  forward: true,
  loss: true,
  logits: true,
  topK: true,
  onProgress: true,
  signal: true,
})

/** What came out. */
export interface Evaluation extends Metrics {
  readonly samples: number
  readonly seconds: number
}

/**
 * Measures a model on all batches of a loader's epoch 0, in evaluation mode and without gradients; the modes of all
 * modules are put back. Nothing is left in memory.
 *
 * @throws ArgumentError for a loader without batches or a loss that is not one number; the signal's reason when aborted.
 */
export async function evaluate<Output>(
  model: Model<Output>,
  loader: Loader,
  options: EvaluateOptions<Output> = {},
): Promise<Evaluation> {
  checkOptionNames('evaluate', options, evaluateOptions)
  checkLoader('evaluate', 'loader', loader)
  checkFunctions('evaluate', options, ['forward', 'loss', 'logits', 'onProgress'])
  checkSignal('evaluate', options.signal)
  const topK = checkTopK('evaluate', options.topK ?? [])
  const ranks = Math.max(1, ...topK)
  const { signal, onProgress } = options
  const meter = new Meter(topK)
  const breathe = breather()
  const start = performance.now()
  const restore = modesOf(model)
  model.eval()
  try {
    let done = 0
    signal?.throwIfAborted()
    for await (const batch of loader.epoch(0)) {
      try {
        signal?.throwIfAborted()
        const samples = samplesOf('evaluate', batch)
        const measured = tidy(() =>
          noGrad(() => {
            const { loss, logits } = judge('evaluate', model, batch, options)
            return { loss, hits: hitsByRank(logits, batch.target, ranks) }
          }),
        )
        try {
          const [loss, hits] = await Promise.all([measured.loss.data(), measured.hits?.data()])
          meter.add({ loss: loss[0] as number, samples, hits })
        } finally {
          measured.loss.dispose()
          measured.hits?.dispose()
        }
      } finally {
        disposeBatch(batch)
      }
      const { loss, accuracy } = meter.metrics()
      onProgress?.({ batch: ++done, batches: loader.length, loss, ...(accuracy !== undefined && { accuracy }) })
      await breathe()
    }
  } finally {
    restore()
  }
  return { ...meter.metrics(), samples: meter.samples, seconds: (performance.now() - start) / 1000 }
}
