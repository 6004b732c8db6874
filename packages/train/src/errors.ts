/** What can go wrong in a run besides wrong arguments. */
import { ConvnetsError } from '@convnets/tensor'

/** A loss, or weights, that are NaN or infinite. The run has stopped; checkpoints on disk are from before. */
export class NonFiniteError extends ConvnetsError {
  override name = 'NonFiniteError'
  /** Number of the step, from 1. */
  readonly step: number
  /** Number of the epoch, from 1. */
  readonly epoch: number
  /** The value that was met. */
  readonly value: number

  constructor(message: string, { step, epoch, value }: { step: number; epoch: number; value: number }) {
    super(message)
    this.step = step
    this.epoch = epoch
    this.value = value
  }
}

/** An output folder that cannot be written to or read from. `cause` is the error of the file system. */
export class OutputError extends ConvnetsError {
  override name = 'OutputError'
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would be too large',
  ENOTDIR: 'part of the path is a file',
  EEXIST: 'a file is in the way',
  EISDIR: 'a folder is in the way',
}

/** Why a file operation failed, in words and with the system's code. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown }
  const words = typeof code === 'string' ? reasons[code] : undefined
  return words === undefined ? String(message ?? error) : `${words} (${code})`
}
