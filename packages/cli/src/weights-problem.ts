/** What can be wrong with a file of weights, as a sentence for the user. */
import { FormatError } from '@convnets/tensor'
import { DownloadError, WeightsMismatchError } from '@convnets/weights'
import { Failure } from './failure.ts'

/** How many of something, if any: `2 missing`. */
const counted = (count: number, what: string): string[] => (count === 0 ? [] : [`${count} ${what}`])

/** How a state dict differs from a network's. */
export function misfit(report: {
  readonly missing: readonly unknown[]
  readonly unexpected: readonly unknown[]
  readonly mismatched: readonly unknown[]
}): string {
  return [
    ...counted(report.missing.length, 'missing'),
    ...counted(report.unexpected.length, 'unexpected'),
    ...counted(report.mismatched.length, 'of another shape'),
  ].join(', ')
}

/** Runs something that reads `file`; what is wrong with the file becomes a `Failure`. */
export async function readingWeights<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof FormatError) {
      const where = `at byte ${error.offset}, expected ${error.expected}, got ${error.got}`
      throw new Failure(`${error.file} cannot be read: ${where}.`, { cause: error })
    }
    if (error instanceof WeightsMismatchError) {
      throw new Failure(`${file} holds the tensors of another network: ${misfit(error)}, first ${error.firstKey}.`, {
        cause: error,
      })
    }
    if (error instanceof DownloadError) throw new Failure(`${error.message}.`, { cause: error })
    throw error
  }
}
