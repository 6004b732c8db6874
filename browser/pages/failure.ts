/** Errors in words, by their classes. */
import { ArgumentError, BackendError, DeviceLostError, FormatError, ShapeError } from '@convnets/tensor'
import { DownloadError } from '@convnets/weights'

/** Classes, not the names that errors carry; what another is made of comes first. */
const classes: readonly (readonly [string, abstract new (...args: never) => Error])[] = Object.entries({
  ArgumentError,
  DeviceLostError,
  DownloadError,
  FormatError,
  ShapeError,
  BackendError,
  RangeError,
  TypeError,
  DOMException,
  Error,
})

/** How a promise is rejected: class, message and cause. */
export async function failure(promise: Promise<unknown>): Promise<string> {
  try {
    return `no failure: ${JSON.stringify(await promise)}`
  } catch (error) {
    if (!(error instanceof Error)) return `not an error: ${error}`
    const cause = error.cause instanceof Error ? `, because ${await failure(Promise.reject(error.cause))}` : ''
    const [name] = classes.find(([, type]) => error instanceof type) ?? []
    return `${name}: ${error.message}${cause}`
  }
}
