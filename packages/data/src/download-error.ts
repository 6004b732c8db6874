import { ConvnetsError } from '@convnets/tensor'

/** A file that could not be fetched from anywhere it is offered. `cause` holds what went wrong at each address. */
export class DownloadError extends ConvnetsError {
  override name = 'DownloadError'
  /** Addresses that were tried. */
  readonly urls: readonly string[]

  constructor(file: string, failures: ReadonlyMap<string, string>, cause: unknown) {
    const tried = [...failures].map(([url, failure]) => `${url}: ${failure}`)
    super(`${file} could not be downloaded: ${tried.join('; ')}`, { cause })
    this.urls = [...failures.keys()]
  }
}

/** What went wrong at one address. */
export class DownloadFailure extends Error {
  /** Whether asking again may help. */
  readonly mayPass: boolean
  /** Milliseconds that the server asks to wait. */
  readonly waitFor: number

  constructor(problem: string, { mayPass = false, waitFor = 0 }: { mayPass?: boolean; waitFor?: number } = {}) {
    super(problem)
    this.mayPass = mayPass
    this.waitFor = waitFor
  }
}
