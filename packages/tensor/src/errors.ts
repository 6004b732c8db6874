/** Base of every error this library throws on purpose. The message is a sentence: op, argument, expected, got. */
export class ConvnetsError extends Error {
  override name = 'ConvnetsError'
}

/** Shapes, ranks or axis numbers that do not fit. */
export class ShapeError extends ConvnetsError {
  override name = 'ShapeError'
}

/** An element type that an op or a layer does not take. */
export class DTypeError extends ConvnetsError {
  override name = 'DTypeError'
}

/** An argument out of its range or of the wrong kind. */
export class ArgumentError extends ConvnetsError {
  override name = 'ArgumentError'
}

/** A backend that is missing, mixed up, lacks a kernel, or failed. */
export class BackendError extends ConvnetsError {
  override name = 'BackendError'
}

/** A backend that cannot hold more tensors. What existed before the call is intact. */
export class OutOfMemoryError extends BackendError {
  override name = 'OutOfMemoryError'
}

/** A GPU that went away with all tensors on it: unplugged, reset, or taken by the browser. */
export class DeviceLostError extends BackendError {
  override name = 'DeviceLostError'
}

/** A tensor used after it was freed. */
export class DisposedError extends ConvnetsError {
  override name = 'DisposedError'
}

/** A gradient that cannot be computed: no graph, a freed graph, a changed input. */
export class GradientError extends ConvnetsError {
  override name = 'GradientError'
}

/** Where and how the contents of a file differ from what its format promises. */
export interface FormatProblem {
  /** Path or URL of the file, or a word for bytes that came from memory. */
  readonly file: string
  /** Byte at which the contents stop making sense. */
  readonly offset: number
  readonly expected: string
  readonly got: string
  readonly cause?: unknown
}

/** A file whose contents are not what its format promises: truncated, corrupt, or another format altogether. */
export class FormatError extends ConvnetsError {
  override name = 'FormatError'
  readonly file: string
  readonly offset: number
  readonly expected: string
  readonly got: string

  constructor({ file, offset, expected, got, cause }: FormatProblem) {
    super(`${file}: at byte ${offset}: expected ${expected}, got ${got}`, cause === undefined ? undefined : { cause })
    this.file = file
    this.offset = offset
    this.expected = expected
    this.got = got
  }
}
