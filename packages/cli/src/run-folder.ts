/** The output folder of a run, and the settings in it that let the run be resumed. */
import { access, constants, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { makeFolder, writeFileAtomic } from '@convnets/weights'
import { diskProblem, Failure, UsageError } from './failure.ts'
import { dataSets, optimizers, type Settings, schedules } from './settings.ts'

/** What lies where in an output folder. `fit` writes checkpoint, history and curve. */
export interface RunFolder {
  readonly path: string
  readonly settings: string
  readonly checkpoint: string
  readonly history: string
  readonly curve: string
  readonly weights: string
  readonly images: string
}

/** The names of things in an output folder. */
export function runFolder(path: string): RunFolder {
  return {
    path,
    settings: join(path, 'settings.json'),
    checkpoint: join(path, 'checkpoint.safetensors'),
    history: join(path, 'history.csv'),
    curve: join(path, 'curve.svg'),
    weights: join(path, 'model.safetensors'),
    images: join(path, 'images'),
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )

const codeOf = (error: unknown): unknown => (error as { code?: unknown }).code

/** Makes the folder, and finds out whether it can be written before hours of training go into it. */
export async function prepareFolder({ path }: RunFolder): Promise<void> {
  try {
    await makeFolder(path)
    await access(path, constants.W_OK | constants.X_OK)
  } catch (error) {
    const problem = codeOf(error) === 'ENOENT' ? `${path} cannot be made.` : (diskProblem(error) ?? String(error))
    throw new Failure(`The output folder cannot be used: ${problem}`, { cause: error })
  }
}

/**
 * Begins a run: remembers how it is made, and removes the checkpoint of an earlier one, which would not fit. Tells whether
 * there was one.
 */
export async function beginRun({ checkpoint, settings }: RunFolder, values: Settings): Promise<boolean> {
  const replaced = await exists(checkpoint)
  if (replaced) await unlink(checkpoint)
  await writeFileAtomic(settings, new TextEncoder().encode(`${JSON.stringify(values, null, 2)}\n`))
  return replaced
}

function isSettings(value: unknown): value is Settings {
  if (typeof value !== 'object' || value === null) return false
  const settings = value as Record<string, unknown>
  const numbers = ['epochs', 'batch', 'lr', 'weightDecay', 'labelSmoothing', 'seed']
  return (
    typeof settings.model === 'string' &&
    numbers.every((key) => typeof settings[key] === 'number') &&
    Object.hasOwn(dataSets, String(settings.data)) &&
    Object.hasOwn(optimizers, String(settings.optimizer)) &&
    Object.hasOwn(schedules, String(settings.schedule))
  )
}

/** How the run in the folder was made. Rejects with `UsageError` if there is none, `Failure` if its settings are damaged. */
export async function readSettings({ path, settings, checkpoint }: RunFolder): Promise<Settings> {
  if (!(await exists(settings)) || !(await exists(checkpoint))) {
    throw new UsageError(`There is nothing to resume in ${path}; without --resume a run begins there.`)
  }
  let values: unknown
  try {
    values = JSON.parse(await readFile(settings, 'utf8'))
  } catch {
    values = undefined
  }
  if (!isSettings(values)) throw new Failure(`${settings} is damaged, so the run in ${path} cannot be resumed.`)
  return values
}
