/** `convnets classify`: what pictures show. */
import { Image } from '@convnets/data'
import { FormatError, setThreads } from '@convnets/tensor'
import { classifyPictures, type Guess } from '../classifier.ts'
import type { Context } from '../context.ts'
import { Failure, sentence } from '../failure.ts'
import { openModel } from '../model.ts'
import type { ClassifyOptions } from '../program.ts'
import { openPublished } from '../published.ts'
import { percent, table } from '../report.ts'

/** Pictures that go through the network at once. */
const BATCH = 32

type Result = { readonly file: string } & ({ readonly classes: readonly Guess[] } | { readonly error: string })

async function openPicture(file: string, channels: 1 | 3): Promise<Image> {
  try {
    return await Image.open(file, { channels })
  } catch (error) {
    if (error instanceof FormatError) {
      const problem = `expected ${error.expected}, got ${error.got.split('\n')[0]}`
      throw new Failure(`${file} is no picture that can be read: ${problem}.`, { cause: error })
    }
    throw error
  }
}

function print(results: readonly Result[], context: Context): void {
  const rows = results.flatMap((result) =>
    'classes' in result
      ? result.classes.map(({ name, probability }, i) => [i === 0 ? result.file : '', name, percent(probability)])
      : [],
  )
  if (rows.length === 0) return
  context.stdout.write(
    `${table([{ title: 'picture' }, { title: 'class' }, { title: 'probability', align: 'right' }], rows)}\n`,
  )
}

/** Classifies pictures. A picture that cannot be read does not keep the others from being classified. */
export async function classify(
  weights: string,
  files: readonly string[],
  { model: name, labels, top, json, threads }: ClassifyOptions,
  context: Context,
): Promise<void> {
  if (threads !== undefined) setThreads(threads)
  const { model, trained } = await (name === undefined
    ? openModel(weights)
    : openPublished(name, weights, labels, context.signal))
  const results: Result[] = []
  for (let start = 0; start < files.length; start += BATCH) {
    context.signal.throwIfAborted()
    const batch = files.slice(start, start + BATCH)
    const opened = await Promise.allSettled(batch.map((file) => openPicture(file, trained.preprocessing.channels)))
    const pictures = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const guesses = pictures.length > 0 ? classifyPictures(model, trained, pictures, top) : []
    for (const [i, result] of opened.entries()) {
      const file = batch[i] as string
      if (result.status === 'fulfilled') results.push({ file, classes: guesses.shift() as Guess[] })
      else results.push({ file, error: sentence(result.reason) })
    }
  }
  if (json) context.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
  else print(results, context)
  const errors = results.flatMap((result) => ('error' in result ? [result.error] : []))
  const last = errors.pop()
  for (const error of errors) context.stderr.write(`${context.colors.red('error:')} ${error}\n`)
  if (last !== undefined) throw new Failure(last)
}
