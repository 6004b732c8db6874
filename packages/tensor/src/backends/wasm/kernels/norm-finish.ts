/**
 * What comes between the walks of a norm down its columns: from sums by chunk to statistics and gradients by channel, and to
 * the rows of coefficients that the next walk takes. In doubles, for one channel at a time or, where they lie side by side,
 * for two.
 */
import type { RunningNorm } from '../../backend.ts'
import { type FunctionBuilder, f32x4, f64x2, i32, i32x4, ints, type Local, memory, type Value, v128 } from '../asm.ts'
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

const widthOf = ({ c, d }: Channels): Width => widths[d === 1 && c % 2 === 0 ? 2 : 1]

/** Sums that are worth a wake-up of another thread. */
const grainSums = 2000

/** for (; i < to; i += step), from `from` on. */
function loop(
  b: FunctionBuilder,
  from: Value<'i32'> | number,
  to: Local<'i32'>,
  step: Value<'i32'> | number,
  body: (i: Local<'i32'>) => void,
): void {
  b.for(b.let(typeof from === 'number' ? i32.const(from) : from), to, step, body)
}

/** b * size bytes further than a. */
const plus = (a: Pointer, b: Pointer | number, size = 4): Pointer => i32.add(a, i32.mul(b as Pointer, size))

const sumTo = (b: FunctionBuilder, sum: Local<'v128'>, term: Doubles): void => b.set(sum, f64x2.add(sum, term))

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
  const { plan, factor, a, c, d, cells } = channels
  const { rows, columns, chunks, chunkRows } = plan
  const { sums, rows: coefficients, mean, variance, weight, bias, affine } = places
  const width = widthOf(channels)
  const { lanes, load, store } = width
  const key = `norm statistics ${lanes} ${weight !== null} ${bias !== null} ${affine !== null}`
  const kernel = engine.kernel(key, (m) => {
    m.func(
      'run',
      [...ints(13), 'f64', 'f64', 'f64', 'f64', 'i32', 'i32'],
      (
        b,
        sums,
        rows,
        mean,
        variance,
        weight,
        bias,
        affine,
        c,
        d,
        columns,
        chunks,
        factor,
        a,
        n,
        last,
        cells,
        eps,
        from,
        to,
      ) => {
        const stride = b.let(i32.mul(columns, 4))
        const all = b.let(f64x2.splat(cells))
        const end = b.let(i32.sub(chunks, 1))
        eachUnit(b, from, to, (unit) => {
          const channel = b.let(i32.mul(unit, lanes))
          const first = b.let(i32.mul(channel, d))
          const behind = b.let(i32.add(first, d))
          const outer = b.let(i32.const(0))
          b.for(outer, a, 1, () => {
            const average = b.let(f64x2.const(0))
            const squares = b.let(f64x2.const(0))
            for (const pass of [0, 1]) {
              loop(b, 0, chunks, 1, (chunk) => {
                const count = b.local('v128')
                b.set(count, f64x2.splat(n))
                b.if(i32.eq(chunk, end), () => b.set(count, f64x2.splat(last)))
                const at = b.let(plus(sums, i32.mul(i32.mul(i32.add(i32.mul(outer, chunks), chunk), 3), columns)))
                loop(b, 0, factor, 1, (k) => {
                  const row = b.let(plus(at, i32.mul(i32.mul(k, c), d)))
                  loop(b, first, behind, 1, (column) => {
                    const place = b.let(plus(row, column))
                    const sum = b.let(i32.add(place, stride))
                    const rest = b.let(f64x2.div(load(sum), count))
                    const local = b.let(f64x2.add(load(place), rest))
                    if (pass === 0) sumTo(b, average, f64x2.div(f64x2.mul(local, count), all))
                    else {
                      const apart = b.let(f64x2.sub(local, average))
                      const spread = f64x2.sub(f64x2.mul(apart, apart), f64x2.mul(rest, rest))
                      sumTo(b, squares, f64x2.add(load(i32.add(sum, stride)), f64x2.mul(count, spread)))
                    }
                  })
                })
              })
            }
            const spread = b.let(f64x2.max(f64x2.const(0), f64x2.div(squares, all)))
            const own = b.let(i32.mul(i32.add(i32.mul(outer, c), channel), 4))
            const center = b.let(i32.add(mean, own))
            b.emit(store(center, average), store(i32.add(variance, own), spread))
            const rounded = b.let(load(center))
            const scale = b.let(f64x2.div(f64x2.const(1), f64x2.sqrt(f64x2.add(spread, f64x2.splat(eps)))))
            loop(b, first, behind, 1, (at) => {
              const factors = b.let(scaled(load, scale, weightOf(weight, at, places.weight)))
              // What rounding has taken from the mean comes back here.
              const lost = f64x2.mul(f64x2.sub(average, rounded), factors)
              const offset = b.let(f64x2.sub(places.bias === null ? f64x2.const(0) : load(plus(bias, at)), lost))
              loop(b, 0, factor, 1, (k) => {
                const column = i32.add(i32.mul(i32.mul(k, c), d), at)
                const place = b.let(plus(rows, i32.add(i32.mul(i32.mul(outer, 3), columns), column)))
                b.emit(store(place, rounded), store(i32.add(place, stride), factors))
                b.emit(store(i32.add(place, i32.mul(stride, 2)), offset))
              })
              if (places.affine !== null) {
                b.emit(store(plus(affine, at), factors), store(plus(affine, i32.add(c, at)), offset))
              }
            })
          })
        })
      },
    )
  })
  engine.parallel(
    kernel,
    [
      ...[sums, coefficients, mean, variance, weight ?? 0, bias ?? 0, affine ?? 0],
      ...[c, d, columns, chunks, factor, a, chunkRows, rows - (chunks - 1) * chunkRows, cells, eps],
    ],
    c / lanes,
    grainSums / (2 * a * chunks * factor * d * lanes),
  )
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
        loop(b, 0, factor, 1, () => {
          loop(b, 0, c, 1, (channel) => {
            const value = b.let(i32.load(plus(start, channel)))
            loop(b, 0, d, 1, () => {
              b.emit(i32.store(place, value))
              b.add(place, 4)
            })
          })
        })
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

/** Gradients by weight and bias, and the last three of `all` rows of coefficients, from the sums of `gradientSums`. */
export function finishGradient(
  engine: Engine,
  channels: Channels,
  places: GradientPlaces,
  all: number,
  eps: number,
): void {
  const { plan, factor, a, c, d, cells } = channels
  const { columns, chunks } = plan
  const { lanes, load, store } = widthOf(channels)
  const kernel = engine.kernel(`norm gradients ${lanes} ${places.weight !== null}`, (m) => {
    m.func(
      'run',
      [...ints(14), 'f64', 'f64', 'i32', 'i32'],
      (
        b,
        sums,
        rows,
        variance,
        weight,
        byWeight,
        byBias,
        totals,
        c,
        d,
        columns,
        chunks,
        factor,
        a,
        all,
        cells,
        eps,
        from,
        to,
      ) => {
        const stride = b.let(i32.mul(columns, 4))
        const count = b.let(f64x2.splat(cells))
        /** The totals of a column: of g, and of g times what is normalised. */
        const totalOf = (at: Pointer): Pointer => plus(totals, at, 32)
        eachUnit(b, from, to, (unit) => {
          const channel = b.let(i32.mul(unit, lanes))
          const first = b.let(i32.mul(channel, d))
          const behind = b.let(i32.add(first, d))
          b.emit(memory.fill(totalOf(first), 0, i32.mul(d, 32)))
          const outer = b.let(i32.const(0))
          b.for(outer, a, 1, () => {
            const own = load(plus(variance, i32.add(i32.mul(outer, c), channel)))
            const scale = b.let(f64x2.div(f64x2.const(1), f64x2.sqrt(f64x2.add(own, f64x2.splat(eps)))))
            const sum = b.let(f64x2.const(0))
            const slope = b.let(f64x2.const(0))
            loop(b, first, behind, 1, (at) => {
              const bias = b.let(f64x2.const(0))
              const centred = b.let(f64x2.const(0))
              loop(b, 0, chunks, 1, (chunk) => {
                const row = b.let(plus(sums, i32.mul(i32.mul(i32.add(i32.mul(outer, chunks), chunk), 2), columns)))
                loop(b, 0, factor, 1, (k) => {
                  const place = b.let(plus(row, i32.add(i32.mul(i32.mul(k, c), d), at)))
                  sumTo(b, bias, load(place))
                  sumTo(b, centred, load(i32.add(place, stride)))
                })
              })
              const scaledSum = b.let(f64x2.mul(centred, scale))
              const total = b.let(totalOf(at))
              b.emit(v128.store(total, f64x2.add(v128.load(total), bias)))
              b.emit(v128.store(total, f64x2.add(v128.load(total, 16), scaledSum), 16))
              const weightAt = weightOf(weight, at, places.weight)
              sumTo(b, sum, scaled(load, bias, weightAt))
              sumTo(b, slope, scaled(load, scaledSum, weightAt))
            })
            const offset = b.let(f64x2.div(f64x2.mul(scale, sum), count))
            const slopes = b.let(f64x2.div(f64x2.mul(f64x2.mul(scale, scale), slope), count))
            loop(b, first, behind, 1, (at) => {
              const factors = b.let(scaled(load, scale, weightOf(weight, at, places.weight)))
              loop(b, 0, factor, 1, (k) => {
                const row = i32.mul(i32.sub(i32.mul(i32.add(outer, 1), all), 3), columns)
                const place = b.let(plus(rows, i32.add(row, i32.add(i32.mul(i32.mul(k, c), d), at))))
                b.emit(store(place, factors), store(i32.add(place, stride), offset))
                b.emit(store(i32.add(place, i32.mul(stride, 2)), slopes))
              })
            })
          })
          loop(b, first, behind, 1, (at) => {
            const total = b.let(totalOf(at))
            b.emit(store(plus(byBias, at), v128.load(total)), store(plus(byWeight, at), v128.load(total, 16)))
          })
        })
      },
    )
  })
  const { sums, rows, variance, weight, byWeight, byBias } = places
  engine.parallel(
    kernel,
    [
      ...[sums, rows, variance, weight ?? 0, byWeight, byBias, engine.workspace(c * d * 32)],
      ...[c, d, columns, chunks, factor, a, all, cells, eps],
    ],
    c / lanes,
    grainSums / (a * chunks * factor * d * lanes),
  )
}

/** Where the weight of a channel's column is, if there are weights. */
const weightOf = (weight: Pointer, at: Pointer, given: number | null): Pointer | null =>
  given === null ? null : plus(weight, at)

const scaled = (load: Width['load'], values: Doubles, weight: Pointer | null): Doubles =>
  weight === null ? values : f64x2.mul(values, load(weight))
