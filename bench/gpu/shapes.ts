/** What is measured on the modes of gpu.js: small enough for adapters in software. */
export const sizes = {
  /** (channels in, channels out, height and width). */
  conv3x3: [64, 64, 28],
  conv1x1: [128, 128, 28],
  /** Side of the matrices. */
  gemm: 256,
} as const

/** One line of the table: milliseconds of a run, by contestant. */
export interface Timing {
  readonly name: string
  readonly contestant: string
  readonly milliseconds: number
  readonly flops: number
}

export interface PageReport {
  readonly adapters: Readonly<Record<string, string>>
  readonly timings: readonly Timing[]
  readonly variants: readonly Timing[]
  /** Modes that did not run, and why. */
  readonly missing: readonly string[]
}
