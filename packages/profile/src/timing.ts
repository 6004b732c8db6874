/** What a trace tells of ops and modules. */
import type { Shape } from '@convnets/tensor'

/** Part of a training step that an op belongs to. */
export type Phase = 'forward' | 'loss' | 'backward'

/** One call of an op. */
export interface OpTiming {
  readonly name: string
  /** Path of the innermost module that called it, or whose gradient it computes. */
  readonly path: string
  readonly phase: Phase
  /** Milliseconds since the start of the trace. */
  readonly start: number
  /** Milliseconds. */
  readonly duration: number
  readonly macs: number
  readonly flops: number
  /** Bytes of its operands and results: what must be read and written at least. */
  readonly bytes: number
  readonly shape: Shape
}

/** One call of a module. */
export interface ModuleTiming {
  readonly path: string
  readonly type: string
  readonly start: number
  readonly duration: number
}

/** Times of the same kind of work added up. */
export interface TimeRow {
  /** Name of the op, or path of the module. */
  readonly name: string
  /** Class of the module; for ops ''. */
  readonly type: string
  readonly calls: number
  readonly milliseconds: number
  readonly forward: number
  readonly backward: number
  /** Part of the time of all ops. */
  readonly share: number
  /** Achieved 10^9 FLOPs per second. */
  readonly gflops: number
  /** Part of the processor's peak; undefined where `peak` was not given. */
  readonly ofPeak: number | undefined
  /** Achieved 10^9 bytes per second. */
  readonly gigabytes: number
}
