/** Traces in the format of Chrome's trace viewer ("Trace Event Format", Google 2016): complete events, in microseconds. */
import type { ModuleTiming, OpTiming } from './timing.ts'

/** A span of time. */
export interface ChromeEvent {
  readonly name: string
  /** `op` or `module`. */
  readonly cat: string
  readonly ph: 'X' | 'M'
  /** Microseconds. */
  readonly ts: number
  readonly dur?: number
  readonly pid: number
  readonly tid: number
  readonly args: Readonly<Record<string, unknown>>
}

/** The content of a trace file. */
export interface ChromeTrace {
  readonly displayTimeUnit: 'ms'
  readonly traceEvents: readonly ChromeEvent[]
}

const micro = (milliseconds: number): number => Math.round(milliseconds * 1e6) / 1e3

export function chromeTrace(ops: readonly OpTiming[], modules: readonly ModuleTiming[]): ChromeTrace {
  const place = { pid: 1, tid: 1 }
  return {
    displayTimeUnit: 'ms',
    traceEvents: [
      { name: 'process_name', cat: '__metadata', ph: 'M', ts: 0, ...place, args: { name: 'convnets' } },
      ...modules.map(
        ({ path, type, start, duration }): ChromeEvent => ({
          name: path === '' ? type : path,
          cat: 'module',
          ph: 'X',
          ts: micro(start),
          dur: micro(duration),
          ...place,
          args: { type },
        }),
      ),
      ...ops.map(
        ({ name, path, phase, start, duration, macs, flops, bytes, shape }): ChromeEvent => ({
          name,
          cat: 'op',
          ph: 'X',
          ts: micro(start),
          dur: micro(duration),
          ...place,
          args: {
            module: path,
            phase,
            shape: shape.join('x'),
            macs,
            flops,
            bytes,
            'GFLOP/s': duration > 0 ? flops / duration / 1e6 : 0,
            'GB/s': duration > 0 ? bytes / duration / 1e6 : 0,
          },
        }),
      ),
    ],
  }
}
