/** How an error crosses between threads. */
import {
  ArgumentError,
  BackendError,
  ConvnetsError,
  DisposedError,
  DTypeError,
  FormatError,
  GradientError,
  OutOfMemoryError,
  ShapeError,
} from '../errors.ts'

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

/** An error, or whatever was thrown, as data that a message can hold, with its causes. */
export function packError(error: unknown): PackedError {
  return pack(error, MAX_CAUSES)
}

function pack(error: unknown, causes: number): PackedError {
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
    cause: cause === undefined || causes === 0 ? undefined : pack(cause, causes - 1),
  }
}

/** By the names that errors carry, which minifiers leave alone; those of classes they change. */
const classes: Readonly<Record<string, new (message: string, options?: ErrorOptions) => Error>> = {
  ArgumentError,
  BackendError,
  ConvnetsError,
  DisposedError,
  DTypeError,
  GradientError,
  OutOfMemoryError,
  ShapeError,
  TypeError,
  RangeError,
  SyntaxError,
  ReferenceError,
}

/** The error again, of the class that it had if that is one of ours or the language's, else an `Error` of its name. */
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
      : new ((Object.hasOwn(classes, name) && classes[name]) || Error)(message, options)
  for (const [key, value] of fields) {
    Object.defineProperty(error, key, { value, enumerable: true, configurable: true, writable: true })
  }
  if (error.name !== name) error.name = name
  if (stack !== undefined) error.stack = stack
  return error
}
