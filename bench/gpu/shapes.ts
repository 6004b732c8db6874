/** What is measured on the modes of gpu.js: small enough for adapters in software. */
export const sizes = {
  /** (channels in, channels out, height and width), powers of two for the forms in variants.ts. */
  conv3x3: [64, 64, 32],
  conv1x1: [128, 128, 32],
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
