/**
 * What comes between the walks of a norm down its columns: from sums by chunk to statistics and gradients by channel, and to
 * the rows of coefficients that the next walk takes. In doubles, for one channel at a time or, where they lie side by side,
 * for two.
 */
import type { RunningNorm } from '../../backend.ts'
import {
  type FunctionBuilder,
  f32x4,
  f64x2,
  i32,
  i32x4,
  ints,
  type Local,
  memory,
  type Repeat,
  type Value,
  v128,
} from '../asm.ts'
import type { Engine } from '../engine.ts'
import type { Columns } from './columns.ts'
import { alongRow } from './rows.ts'
import { eachUnit } from './tile.ts'

type Pointer = Value<'i32'>
type Doubles = Value<'v128'>

/** The channels of a norm with extents [a, b, c, d], and how its columns are laid out. */
export interface Channels {
  readonly plan: Columns
  /** Rows side by side. */
  readonly factor: number
  readonly a: number
  readonly c: number
  readonly d: number
  /** Cells that a statistic is taken over: b * d. */
  readonly cells: number
}

/** Floats as doubles, one or two at a time. */
interface Width {
  readonly lanes: 1 | 2
  load(at: Pointer): Doubles
  store(at: Pointer, values: Doubles): Value<'void'>
}

const widths: Record<1 | 2, Width> = {
  1: {
    lanes: 1,
    load: (at) => f64x2.fromF32(v128.load32Zero(at)),
    store: (at, values) => v128.store32Lane(at, f32x4.fromF64(values), 0),
  },
  2: {
    lanes: 2,
    load: (at) => f64x2.fromF32(v128.load64Zero(at)),
    store: (at, values) => v128.store64Lane(at, f32x4.fromF64(values), 0),
  },
}

/** Sums that are worth a wake-up of another thread. */
const grainSums = 2000

/** for (; i < to; i++), from `from` on. */
function loop(b: FunctionBuilder, from: Value<'i32'>, to: Local<'i32'>, body: (i: Local<'i32'>) => void): void {
  b.for(b.let(from), to, 1, body)
}

const zero = i32.const(0)

/** `index` floats further than `base`. */
const plus = (base: Pointer, index: Pointer): Pointer => i32.add(base, i32.mul(index, 4))

const sumTo = (b: FunctionBuilder, sum: Local<'v128'>, term: Doubles): void => b.set(sum, f64x2.add(sum, term))

/** What the code for a channel, or for two at a time, has at hand. */
interface Frame extends Width {
  /** The pointers that the kernel was given. */
  readonly at: readonly Local<'i32'>[]
  readonly channel: Local<'i32'>
  readonly a: Local<'i32'>
  readonly c: Local<'i32'>
  readonly columns: Local<'i32'>
  /** Bytes of a row of columns. */
  readonly stride: Local<'i32'>
  readonly cells: Local<'v128'>
  /** 1 / sqrt(variance + eps). */
  inverse(variance: Doubles): Doubles
  /** `body` for the channel's columns, by their numbers in the weights. */
  eachColumn(body: (column: Local<'i32'>) => void): void
  /** `body` for the numbers of such a column in the rows that lie side by side. */
  eachRepeat(column: Local<'i32'>, body: (at: Local<'i32'>) => void): void
  /** `body` for all chunks of an outer index, with the rows of each. */
  eachChunk(outer: Local<'i32'>, body: (chunk: Local<'i32'>, rows: Local<'v128'>) => void): void
}

/** What kernels over channels are given after their pointers. */
type Sizes = [...Repeat<Local<'i32'>, 6>, ...Repeat<Local<'f64'>, 4>, from: Local<'i32'>, to: Local<'i32'>]

/** Runs code for every channel, in which `work` sums are read for each column of a chunk. */
function overChannels(
  engine: Engine,
  key: string,
  { plan, factor, a, c, d, cells }: Channels,
  eps: number,
  pointers: readonly number[],
  work: number,
  emit: (b: FunctionBuilder, frame: Frame) => void,
): void {
  const width = widths[d === 1 && c % 2 === 0 ? 2 : 1]
  const { columns, chunks, chunkRows, rows } = plan
  const kernel = engine.kernel(`norm ${key} ${width.lanes}`, (m) => {
    const sizes = [...ints(6), 'f64', 'f64', 'f64', 'f64', ...ints(2)] as const
    m.func('run', [...pointers.map(() => 'i32' as const), ...sizes], (b, ...locals) => {
      const at = locals.slice(0, pointers.length) as Local<'i32'>[]
      const own = locals.slice(pointers.length) as unknown as Sizes
      const [a, c, d, columns, chunks, factor, full, rest, cells, eps, from, to] = own
      const stride = b.let(i32.mul(columns, 4))
      const repeat = b.let(i32.mul(c, d))
      const last = b.let(i32.sub(chunks, 1))
      const count = b.let(f64x2.splat(cells))
      eachUnit(b, from, to, (unit) => {
        const channel = b.let(i32.mul(unit, width.lanes))
        const first = b.let(i32.mul(channel, d))
        const behind = b.let(i32.add(first, d))
        emit(b, {
          ...width,
          ...{ at, channel, a, c, columns, stride, cells: count },
          inverse: (variance) => f64x2.div(f64x2.const(1), f64x2.sqrt(f64x2.add(variance, f64x2.splat(eps)))),
          eachColumn: (body) => loop(b, first, behind, body),
          eachRepeat: (column, body) => loop(b, zero, factor, (k) => body(b.let(i32.add(i32.mul(k, repeat), column)))),
          eachChunk: (outer, body) =>
            loop(b, zero, chunks, (chunk) => {
              const rows = b.let(f64x2.splat(full))
              b.if(i32.eq(chunk, last), () => b.set(rows, f64x2.splat(rest)))
              body(b.let(i32.add(i32.mul(outer, chunks), chunk)), rows)
            }),
        })
      })
    })
  })
  engine.parallel(
    kernel,
    [...pointers, a, c, d, columns, chunks, factor, chunkRows, rows - (chunks - 1) * chunkRows, cells, eps],
    c / width.lanes,
    grainSums / (work * a * chunks * factor * d * width.lanes),
  )
}

export interface StatisticsPlaces {
  /** Of each chunk: shifts, sums, squares; see the kernel that made them. */
  readonly sums: number
  /** Where the rows of means, scales and offsets go. */
  readonly rows: number
  readonly mean: number
  readonly variance: number
  readonly weight: number | null
  readonly bias: number | null
  /** Where scales and offsets by channel go. */
  readonly affine: number | null
}

/**
 * Means, biased variances and coefficients, from the sums of `statistics`. Parallel variances (Chan, Golub and LeVeque, 1979):
 * first the mean of the chunks' means, then the spread.
 */
export function finishStatistics(engine: Engine, channels: Channels, places: StatisticsPlaces, eps: number): void {
  const has = [places.weight, places.bias, places.affine].map((place) => place !== null)
  const { sums, rows, mean, variance, weight, bias, affine } = places
  const pointers = [sums, rows, mean, variance, weight ?? 0, bias ?? 0, affine ?? 0]
  overChannels(engine, `statistics ${has}`, channels, eps, pointers, 2, (b, frame) => {
    const { load, store, channel, c, columns, stride, cells, eachColumn, eachRepeat, eachChunk } = frame
    const [sums, rows, mean, variance, weight, bias, affine] = frame.at as Repeat<Local<'i32'>, 7>
    loop(b, zero, frame.a, (outer) => {
      const average = b.let(f64x2.const(0))
      const squares = b.let(f64x2.const(0))
      for (const pass of [0, 1]) {
        eachChunk(outer, (chunk, count) => {
          const row = b.let(plus(sums, i32.mul(i32.mul(chunk, 3), columns)))
          eachColumn((column) =>
            eachRepeat(column, (at) => {
              const place = b.let(plus(row, at))
              const rest = b.let(f64x2.div(load(i32.add(place, stride)), count))
              const local = b.let(f64x2.add(load(place), rest))
              if (pass === 0) sumTo(b, average, f64x2.div(f64x2.mul(local, count), cells))
              else {
                const apart = b.let(f64x2.sub(local, average))
                const spread = f64x2.sub(f64x2.mul(apart, apart), f64x2.mul(rest, rest))
                const own = load(i32.add(place, i32.mul(stride, 2)))
                sumTo(b, squares, f64x2.add(own, f64x2.mul(count, spread)))
              }
            }),
          )
        })
      }
      const spread = b.let(f64x2.max(f64x2.const(0), f64x2.div(squares, cells)))
      const own = b.let(i32.add(i32.mul(outer, c), channel))
      b.emit(store(plus(mean, own), average), store(plus(variance, own), spread))
      const rounded = b.let(load(plus(mean, own)))
      const scale = b.let(frame.inverse(spread))
      eachColumn((column) => {
        const factors = b.let(has[0] ? f64x2.mul(scale, load(plus(weight, column))) : scale)
        // What rounding has taken from the mean comes back here.
        const lost = f64x2.mul(f64x2.sub(average, rounded), factors)
        const offset = b.let(f64x2.sub(has[1] ? load(plus(bias, column)) : f64x2.const(0), lost))
        eachRepeat(column, (at) => {
          const place = b.let(plus(rows, i32.add(i32.mul(i32.mul(outer, 3), columns), at)))
          b.emit(store(place, rounded), store(i32.add(place, stride), factors))
          b.emit(store(i32.add(place, i32.mul(stride, 2)), offset))
        })
        if (has[2]) b.emit(store(plus(affine, column), factors), store(plus(affine, i32.add(c, column)), offset))
      })
    })
  })
}

/** Moves running statistics on by those of a batch of `cells` cells per channel; each step is rounded, as in formulas. */
export function moveOn(engine: Engine, running: RunningNorm, mean: number, variance: number, cells: number): void {
  const { momentum } = running
  const kernel = engine.kernel(`norm running ${momentum === null}`, (m) => {
    m.func(
      'run',
      [...ints(6), 'f64', 'f64'],
      (b, means, variances, count, mean, variance, bytes, momentum, correction) => {
        const seen = b.let(i32.add(i32.load(count), 1))
        b.emit(i32.store(count, seen))
        const each = f64x2.div(f64x2.const(1), f64x2.fromI32(i32x4.splat(seen)))
        const share = b.let(running.momentum === null ? each : f64x2.splat(momentum))
        const rounded = (value: Doubles) => b.let(f32x4.splat(f32x4.extract(f32x4.fromF64(value), 0)))
        const weight = rounded(share)
        const rest = b.let(f32x4.sub(1, weight))
        const corrected = rounded(f64x2.mul(share, f64x2.splat(correction)))
        const move = (values: Local<'i32'>, news: Local<'i32'>, weight: Local<'v128'>): void =>
          alongRow(b, bytes, (strip, at) => {
            const place = b.let(i32.add(values, at))
            const moved = f32x4.mul(rest, strip.load(place))
            return strip.store(place, f32x4.add(moved, f32x4.mul(weight, strip.load(i32.add(news, at)))))
          })
        move(means, mean, weight)
        move(variances, variance, corrected)
      },
    )
  })
  const places = [running.mean, running.variance, running.count].map((buffer) => engine.ptr(buffer))
  engine.run(kernel, ...places, mean, variance, running.mean.length * 4, momentum ?? 0, cells / (cells - 1))
  for (const buffer of [running.mean, running.variance, running.count]) buffer.version++
}

/** Writes numbers by channel, [a, c] of them, along a row of coefficients at `to`, of which there are `all` for each outer index. */
export function spreadRow(engine: Engine, channels: Channels, from: number, to: number, all: number): void {
  const { plan, factor, a, c, d } = channels
  const kernel = engine.kernel('norm row', (m) => {
    m.func('run', ints(8), (b, source, to, c, d, factor, bytes, first, last) => {
      eachUnit(b, first, last, (outer) => {
        const start = b.let(plus(source, i32.mul(outer, c)))
        const place = b.let(i32.add(to, i32.mul(outer, bytes)))
        loop(b, zero, factor, () =>
          loop(b, zero, c, (channel) => {
            const value = b.let(i32.load(plus(start, channel)))
            loop(b, zero, d, () => {
              b.emit(i32.store(place, value))
              b.add(place, 4)
            })
          }),
        )
      })
    })
  })
  engine.parallel(kernel, [from, to, c, d, factor, all * plan.columns * 4], a, grainSums / plan.columns)
}

export interface GradientPlaces {
  /** Of each chunk: sums of g, and of g (x - mean). */
  readonly sums: number
  /** Where the rows of scales, offsets and slopes go, behind others. */
  readonly rows: number
  readonly variance: number
  readonly weight: number | null
  /** Gradients by column of a channel, of which there are c * d. */
  readonly byWeight: number
  readonly byBias: number
}

/** Bytes of a column's totals: of g, and of g times what is normalised, each as a vector of doubles. */
const totalBytes = 32

/** Gradients by weight and bias, and the last three of `all` rows of coefficients, from the sums of `gradientSums`. */
export function finishGradient(
  engine: Engine,
  channels: Channels,
  places: GradientPlaces,
  all: number,
  eps: number,
): void {
  const { sums, rows, variance, weight, byWeight, byBias } = places
  const totals = engine.workspace(channels.c * channels.d * totalBytes)
  const pointers = [sums, rows, variance, weight ?? 0, byWeight, byBias, totals]
  overChannels(engine, `gradients ${weight !== null} ${all}`, channels, eps, pointers, 1, (b, frame) => {
    const { load, store, channel, c, columns, stride, cells, eachColumn, eachRepeat, eachChunk } = frame
    const [sums, rows, variance, weight, byWeight, byBias, totals] = frame.at as Repeat<Local<'i32'>, 7>
    const totalOf = (column: Pointer): Pointer => i32.add(totals, i32.mul(column, totalBytes))
    const weighted = (values: Doubles, column: Pointer): Doubles =>
      places.weight === null ? values : f64x2.mul(values, load(plus(weight, column)))
    eachColumn((column) => b.emit(memory.fill(totalOf(column), 0, totalBytes)))
    loop(b, zero, frame.a, (outer) => {
      const scale = b.let(frame.inverse(load(plus(variance, i32.add(i32.mul(outer, c), channel)))))
      const sum = b.let(f64x2.const(0))
      const slope = b.let(f64x2.const(0))
      eachColumn((column) => {
        const bias = b.let(f64x2.const(0))
        const centred = b.let(f64x2.const(0))
        eachChunk(outer, (chunk) => {
          const row = b.let(plus(sums, i32.mul(i32.mul(chunk, 2), columns)))
          eachRepeat(column, (at) => {
            const place = b.let(plus(row, at))
            sumTo(b, bias, load(place))
            sumTo(b, centred, load(i32.add(place, stride)))
          })
        })
        const scaled = b.let(f64x2.mul(centred, scale))
        const total = b.let(totalOf(column))
        b.emit(v128.store(total, f64x2.add(v128.load(total), bias)))
        b.emit(v128.store(total, f64x2.add(v128.load(total, 16), scaled), 16))
        sumTo(b, sum, weighted(bias, column))
        sumTo(b, slope, weighted(scaled, column))
      })
      const offset = b.let(f64x2.div(f64x2.mul(scale, sum), cells))
      const slopes = b.let(f64x2.div(f64x2.mul(f64x2.mul(scale, scale), slope), cells))
      eachColumn((column) => {
        const factors = b.let(weighted(scale, column))
        eachRepeat(column, (at) => {
          const row = i32.mul(i32.add(i32.mul(outer, all), all - 3), columns)
          const place = b.let(plus(rows, i32.add(row, at)))
          b.emit(store(place, factors), store(i32.add(place, stride), offset))
          b.emit(store(i32.add(place, i32.mul(stride, 2)), slopes))
        })
      })
    })
    eachColumn((column) => {
      const total = b.let(totalOf(column))
      b.emit(store(plus(byBias, column), v128.load(total)), store(plus(byWeight, column), v128.load(total, 16)))
    })
  })
}
