/** What the thread that trains and its workers say to each other, and how an error crosses between them. */
import {
  ArgumentError,
  BackendError,
  ConvnetsError,
  DTypeError,
  FormatError,
  OutOfMemoryError,
  ShapeError,
} from '@convnets/tensor'

/** A batch to make. */
export interface Job {
  readonly id: number
  /** Seed of the epoch's generator of augmentations. */
  readonly seed: number
  readonly indices: Int32Array
  readonly repeats?: Int32Array | undefined
  /** Turn bytes into floats from 0 to 1. */
  readonly floats: boolean
  /** Memory of a batch that has been used up, to put this one into. */
  readonly memory?: SharedArrayBuffer | undefined
}

/** A sample without its pixels, which lie in the batch's memory from byte `at` on. */
export interface Placed {
  readonly sample: Readonly<Record<string, unknown>>
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly floats: boolean
  readonly at: number
}

/** A batch that has been made. */
export interface Made {
  readonly memory: SharedArrayBuffer
  readonly samples: readonly Placed[]
}

/** What a worker says: that it is ready, that it will never be, or what became of a job. */
export type Answer =
  | { readonly kind: 'ready'; readonly length: number }
  | { readonly kind: 'unable'; readonly error: PackedError }
  | { readonly kind: 'made'; readonly id: number; readonly made: Made }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PackedError }

/** An error as plain data: structured cloning keeps neither its class nor its own fields. */
export interface PackedError {
  readonly name: string
  readonly message: string
  readonly stack: string | undefined
  /** Own fields that are plain: `code`, `path`, `file`, `offset` and the like. */
  readonly fields: readonly (readonly [string, string | number | boolean])[]
  readonly cause: PackedError | undefined
}

const MAX_CAUSES = 4

export function packError(error: unknown, depth = 0): PackedError {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), stack: undefined, fields: [], cause: undefined }
  }
  const fields: [string, string | number | boolean][] = []
  for (const [key, value] of Object.entries(error)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') fields.push([key, value])
  }
  const { name, message, stack, cause } = error
  return {
    name,
    message,
    stack,
    fields,
    cause: cause === undefined || depth >= MAX_CAUSES ? undefined : packError(cause, depth + 1),
  }
}

const classes: ReadonlyMap<string, new (message: string, options?: ErrorOptions) => Error> = new Map([
  ...[ArgumentError, BackendError, ConvnetsError, DTypeError, OutOfMemoryError, ShapeError].map(
    (type) => [type.name, type] as const,
  ),
  ...[TypeError, RangeError, SyntaxError, ReferenceError].map((type) => [type.name, type] as const),
])

/** The error again, of the class that it had if that is one of ours or the language's. */
export function unpackError(packed: PackedError): Error {
  const { name, message, stack } = packed
  const cause = packed.cause && unpackError(packed.cause)
  const fields = new Map(packed.fields)
  const options = cause && { cause }
  const error =
    name === 'FormatError'
      ? new FormatError({
          file: String(fields.get('file')),
          offset: Number(fields.get('offset')),
          expected: String(fields.get('expected')),
          got: String(fields.get('got')),
          cause,
        })
      : new (classes.get(name) ?? Error)(message, options)
  for (const [key, value] of fields) {
    Object.defineProperty(error, key, { value, enumerable: true, configurable: true, writable: true })
  }
  if (error.name !== name) error.name = name
  if (stack !== undefined) error.stack = stack
  return error
}
