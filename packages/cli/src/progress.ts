/** How a run is going: a bar on a terminal, lines elsewhere. */
import type { EpochRecord, Progress } from '@convnets/train'
import { SingleBar } from 'cli-progress'
import { type Context, isInteractive } from './context.ts'
import { clock, percent, whole } from './report.ts'

/** Milliseconds between lines where there is no bar, within long epochs. */
const LINE_INTERVAL = 60_000

/** Shows how a run is going. */
export interface ProgressView {
  /** After a batch, of training or testing. */
  batch(progress: Progress): void
  epoch(record: EpochRecord): void
  /** Leaves the terminal as it was. */
  stop(): void
}

const numbers = ({ loss, accuracy }: { loss: number; accuracy?: number }): string =>
  `loss ${loss.toFixed(3)}${accuracy === undefined ? '' : `  accuracy ${percent(accuracy)}`}`

const pace = ({ imagesPerSecond, secondsLeft }: Progress): string =>
  `${whole(imagesPerSecond)} images/s  ${clock(secondsLeft)} left`

const heading = ({ epoch, epochs, phase }: Progress): string =>
  `epoch ${epoch}/${epochs}${phase === 'test' ? '  test' : ''}`

/** The line that stays of an epoch; `last` is the last that was heard of it. */
function epochLine({ epoch, train, test }: EpochRecord, last: Progress | undefined): string {
  const tested = test && `test ${numbers(test)}`
  const rest = last && (epoch < last.epochs ? pace(last) : `${whole(last.imagesPerSecond)} images/s`)
  return `${[`epoch ${epoch}${last ? `/${last.epochs}` : ''}`, numbers(train), tested, rest].filter(Boolean).join('  ')}\n`
}

function lines({ stderr }: Context, quiet: boolean): ProgressView {
  let written = performance.now()
  let last: Progress | undefined
  return {
    batch(progress) {
      last = progress
      if (quiet || performance.now() - written < LINE_INTERVAL || progress.batch === progress.batches) return
      written = performance.now()
      const share = percent(progress.batch / progress.batches)
      stderr.write(`${heading(progress)}  ${share} of it  ${numbers(progress)}  ${pace(progress)}\n`)
    },
    epoch(record) {
      written = performance.now()
      stderr.write(epochLine(record, last))
    },
    stop() {},
  }
}

function bar({ stderr, colors }: Context): ProgressView {
  let last: Progress | undefined
  let running = false
  const made = new SingleBar({
    stream: stderr as NodeJS.WritableStream,
    format: (_, { progress }, { text }: { text: string }) => {
      const size = Math.max(8, Math.min(30, (stderr.columns || 80) - text.length - 2))
      const full = Math.round(progress * size)
      return `${colors.cyan('━'.repeat(full))}${colors.dim('─'.repeat(size - full))} ${text}`
    },
    fps: 10,
    hideCursor: true,
    clearOnComplete: true,
    // Signals are the program's: the bar is stopped when the run has saved what it has.
    gracefulExit: false,
    linewrap: null,
  })
  const stop = (): void => {
    if (running) made.stop()
    running = false
  }
  return {
    batch(progress) {
      last = progress
      const text = `${heading(progress)}  ${numbers(progress)}  ${pace(progress)}`
      if (running) made.update(progress.step, { text })
      else made.start(progress.steps, progress.step, { text })
      running = true
    },
    epoch(record) {
      stop()
      stderr.write(epochLine(record, last))
    },
    stop,
  }
}

/** Shows the progress of a run in the way that fits the surroundings. */
export function createProgress(context: Context, quiet: boolean): ProgressView {
  return isInteractive(context) && !quiet ? bar(context) : lines(context, quiet)
}
