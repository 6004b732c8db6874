/** `convnets train`: a run from its settings to weights, curve, history and classified pictures. */
import { join } from 'node:path'
import { headLoss, type ImageModel, type ImageOutput, mainLogits } from '@convnets/blocks'
import type { Split } from '@convnets/data'
import { compile, crossEntropy } from '@convnets/nn'
import { setThreads } from '@convnets/tensor'
import { type FitResult, fit } from '@convnets/train'
import { saveWeights } from '@convnets/weights'
import type { Context } from '../context.ts'
import { Interruption, UsageError } from '../failure.ts'
import { networkOf } from '../networks.ts'
import { writePictures } from '../pictures.ts'
import type { TrainOptions } from '../program.ts'
import { createProgress } from '../progress.ts'
import { describeTrained, loadData, makeLoaders, makeOptimizer, makeSchedule } from '../recipe.ts'
import { clock, percent, plural, whole } from '../report.ts'
import { beginRun, prepareFolder, type RunFolder, readSettings, runFolder } from '../run-folder.ts'
import { optimizers, type Settings } from '../settings.ts'
import { toMetadata } from '../trained.ts'

/** Options that say where and how to run, not what; they may differ when a run is resumed. */
const surroundings: ReadonlySet<string> = new Set(['threads', 'out', 'resume', 'quiet'])

function settingsOf(options: TrainOptions): Settings {
  const { model, data, dataRoot, epochs, batch, optimizer, schedule, momentum, labelSmoothing, seed, limit } = options
  const { lr = optimizers[optimizer].lr, weightDecay = optimizers[optimizer].weightDecay } = options
  if (momentum !== undefined && optimizer !== 'sgd' && optimizer !== 'rmsprop') {
    throw new UsageError(`--momentum is for sgd and rmsprop; --optimizer ${optimizer} has none.`)
  }
  return {
    model,
    data,
    ...(dataRoot !== undefined && { dataRoot }),
    epochs,
    batch,
    optimizer,
    lr,
    ...(momentum !== undefined && { momentum }),
    weightDecay,
    schedule,
    labelSmoothing,
    seed,
    ...(limit !== undefined && { limit }),
  }
}

/** The settings of the run in the folder. What was given on the command line as well must be the same. */
async function settingsToResume(
  folder: RunFolder,
  options: TrainOptions,
  given: ReadonlySet<string>,
): Promise<Settings> {
  const settings = await readSettings(folder)
  for (const key of given) {
    if (surroundings.has(key)) continue
    const [now, then] = [options[key as keyof TrainOptions], settings[key as keyof Settings]]
    if (now === then) continue
    const flag = `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    throw new UsageError(
      `${flag} is ${now} here and ${then ?? 'absent'} in the run in ${folder.path}; --resume goes on as the run began.`,
    )
  }
  return settings
}

/** The data set; a download that takes its time says how far it is. */
async function openData(settings: Settings, context: Context): Promise<Split> {
  let told = 0
  return loadData(settings, {
    signal: context.signal,
    onProgress: ({ file, receivedBytes, totalBytes }) => {
      if (receivedBytes < totalBytes && performance.now() - told < 1000) return
      told = performance.now()
      const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1)
      context.stderr.write(`downloading ${file}: ${megabytes(receivedBytes)} of ${megabytes(totalBytes)} MB\n`)
    },
  })
}

const quoted = (path: string): string => (/[^\w./-]/.test(path) ? `'${path}'` : path)

function interruption(context: Context, { steps, epochs }: FitResult, path: string): Interruption {
  const reason: unknown = context.signal.reason
  const signal = reason instanceof Interruption ? reason.signal : 'SIGINT'
  return new Interruption(
    signal,
    `Stopped after ${plural(steps, 'step')}, in epoch ${epochs + 1}; the checkpoint is saved. Go on with:\n  convnets train --resume --out ${quoted(path)}`,
  )
}

/** Writes what is made of a finished run, and says where everything is. */
async function finish(
  folder: RunFolder,
  model: ImageModel<ImageOutput>,
  settings: Settings,
  split: Split,
  { history, seconds, imagesPerSecond }: FitResult,
  context: Context,
): Promise<void> {
  const trained = describeTrained(settings, split)
  await saveWeights(model, folder.weights, { metadata: toMetadata(trained) })
  const pictures = await writePictures(folder.images, split.test, model.eval(), trained)
  const right = pictures.filter(({ label, guess }) => label === guess.name).length
  const accuracy = percent(history.at(-1)?.test?.accuracy ?? 0)
  const { bold } = context.colors
  context.stdout.write(
    `
test accuracy ${bold(accuracy)} after ${plural(history.length, 'epoch')} in ${clock(seconds)}, ${whole(imagesPerSecond)} images/s

weights   ${folder.weights}
curve     ${folder.curve}
history   ${folder.history}
pictures  ${join(folder.images, '*.png')}, ${right} of ${pictures.length} right
`,
  )
}

/**
 * Trains a network. `given` are the names of the options that stood on the command line.
 *
 * Rejects with `UsageError`, `Failure`, or `Interruption` after the checkpoint was saved.
 */
export async function train(options: TrainOptions, given: ReadonlySet<string>, context: Context): Promise<void> {
  const { out = join('runs', options.model), resume = false, quiet = false, threads } = options
  const folder = runFolder(out)
  const settings = resume ? await settingsToResume(folder, options, given) : settingsOf(options)
  const { labelSmoothing } = settings
  const entry = networkOf(settings.model)
  if (threads !== undefined) setThreads(threads)
  const split = await openData(settings, context)
  const loaders = makeLoaders(settings, split)
  const model = entry({ ...describeTrained(settings, split).options, seed: settings.seed })
  const optimizer = makeOptimizer(settings, model.namedParameters())
  await prepareFolder(folder)
  const { stderr, signal } = context
  if (!resume && (await beginRun(folder, settings))) stderr.write(`The earlier run in ${out} is replaced.\n`)
  const pictures = `${whole(loaders.train.dataset.length)} pictures of ${settings.data}`
  stderr.write(`${settings.model} (${whole(model.parameterCount())} parameters) on ${pictures}\n`)

  const schedule = makeSchedule(settings, loaders.train.length)
  const progress = createProgress(context, quiet)
  // At once, since whoever asks again ends the process as it is, and the terminal would be left without its cursor.
  const onAbort = (): void => {
    progress.stop()
    stderr.write('Stopping after this step and saving; Ctrl-C again ends at once.\n')
  }
  signal.addEventListener('abort', onAbort, { once: true })
  const forward = compile(model)
  let result: FitResult
  try {
    result = await fit(model, {
      ...loaders,
      forward,
      optimizer,
      epochs: settings.epochs,
      ...(schedule && { schedule }),
      // Networks with auxiliary classifiers give the logits of several heads in training.
      loss: (output, target) => headLoss(output, (logits) => crossEntropy(logits, target, { labelSmoothing })),
      logits: mainLogits,
      seed: settings.seed,
      out,
      resume: resume ? out : false,
      signal,
      onProgress: (standing) => {
        if (!signal.aborted) progress.batch(standing)
      },
      onEpoch: (record) => progress.epoch(record),
    })
  } finally {
    forward.dispose()
    signal.removeEventListener('abort', onAbort)
    progress.stop()
  }
  if (result.stopped === 'aborted') throw interruption(context, result, out)
  await finish(folder, model, settings, split, result, context)
}
