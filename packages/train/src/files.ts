/** The files of a run, and sentences for when they cannot be written or read. */
import { ArgumentError, type Tensor } from '@convnets/tensor'
import { writeSafetensors } from '@convnets/weights'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts'
import { curveSvg } from './curve.ts'
import { OutputError, reasonOf } from './errors.ts'
import { diskFolder, locate, type RunFolder } from './folder.ts'
import { type EpochRecord, historyCsv } from './history.ts'

const CHECKPOINT = 'checkpoint.safetensors'

const megabytes = (bytes: number): string => `${Math.max(0.1, bytes / 1e6).toFixed(1)} MB`

/** A weights file: safetensors under the model's own keys. */
async function weightsFile(tensors: ReadonlyMap<string, Tensor>): Promise<Uint8Array> {
  return await writeSafetensors(tensors, { metadata: new Map([['format', 'pt']]) })
}

async function readOrExplain(folder: RunFolder, file: string): Promise<Uint8Array | undefined> {
  try {
    return await folder.read(file)
  } catch (error) {
    throw new OutputError(`fit: resume could not read ${file} in ${folder.name}: ${reasonOf(error)}`, { cause: error })
  }
}

/** The checkpoint that `resume` asks for, if there is one, and what to call it. Its tensors are the caller's. */
export async function findCheckpoint(
  resume: string | false,
  out: RunFolder | undefined,
): Promise<{ checkpoint: Checkpoint; name: string } | undefined> {
  if (resume === false) return undefined
  const { folder, file } =
    resume === 'auto' ? { folder: out as RunFolder, file: CHECKPOINT } : await locate(resume, CHECKPOINT)
  const bytes = await readOrExplain(folder, file)
  const name = `${folder.name}/${file}`
  if (bytes !== undefined) return { checkpoint: decodeCheckpoint(bytes, name), name }
  if (resume === 'auto') return undefined
  throw new ArgumentError(`fit: resume expects a checkpoint or the folder of a run, got ${resume}, where there is none`)
}

/** Writes the files of a run. */
export class RunFiles {
  readonly folder: RunFolder
  /** Step of the last checkpoint that this run wrote. */
  #saved: number | undefined

  constructor(out: string | RunFolder) {
    this.folder = typeof out === 'string' ? diskFolder(out) : out
  }

  /** What is left when something goes wrong now. */
  get kept(): string {
    const { name } = this.folder
    return this.#saved === undefined
      ? `nothing is saved in ${name} yet`
      : `the checkpoint of step ${this.#saved} is kept in ${name}`
  }

  async #write(file: string, bytes: Uint8Array): Promise<void> {
    try {
      await this.folder.write(file, bytes)
    } catch (error) {
      const { name } = this.folder
      const reason = reasonOf(error)
      throw new OutputError(
        this.#saved === undefined
          ? `fit: out expects a folder that can be written to, with room for ${megabytes(bytes.length)}, got ${name}: ${reason}`
          : `fit: ${file} could not be written to ${name}: ${reason}; ${this.kept}, and resume goes on from there`,
        { cause: error },
      )
    }
  }

  async checkpoint(checkpoint: Checkpoint): Promise<void> {
    await this.#write(CHECKPOINT, await encodeCheckpoint(checkpoint))
    this.#saved = checkpoint.run.step
  }

  async weights(file: 'best' | 'last' | 'ema', tensors: ReadonlyMap<string, Tensor>): Promise<void> {
    await this.#write(`${file}.safetensors`, await weightsFile(tensors))
  }

  async history(history: readonly EpochRecord[]): Promise<void> {
    const encoder = new TextEncoder()
    await this.#write('history.csv', encoder.encode(historyCsv(history)))
    await this.#write('curve.svg', encoder.encode(curveSvg(history)))
  }
}
