import { ConvnetsError } from '@convnets/tensor'

/** A file that the network did not give, or not as it should be. */
export class DownloadError extends ConvnetsError {
  override name = 'DownloadError'
  /** The address that was asked for. */
  readonly url: string
  /** The answer's status, where there was an answer. */
  readonly status: number | undefined

  constructor(url: string, problem: string, options: { status?: number; cause?: unknown } = {}) {
    const { status, cause } = options
    super(`${url} could not be downloaded: ${problem}`, cause === undefined ? undefined : { cause })
    this.url = url
    this.status = status
  }
}
