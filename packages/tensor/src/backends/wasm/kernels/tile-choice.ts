/**
 * Which tile serves a product best. Past the limit of registers the speed of a tile halves at once, and where that limit
 * lies depends on the host's compiler, so some candidates are timed at the first use, in the kernel that they are meant for:
 * alone, a loop may be compiled to other code than in its place.
 */
import type { Engine } from '../engine.ts'
import { gemm } from './gemm.ts'
import { roundUp, type TileShape } from './tile.ts'

export const tileCandidates: readonly TileShape[] = [
  { rows: 2, columns: 16 },
  { rows: 4, columns: 8 },
  { rows: 6, columns: 8 },
]

/** Those for registers of twice the width. */
export const turboCandidates: readonly TileShape[] = [
  { rows: 6, columns: 16 },
  { rows: 4, columns: 16 },
]

/** The tile of each engine, once it is chosen. */
export const chosenTiles: WeakMap<Engine, TileShape> = new WeakMap()

const candidatesOf = (engine: Engine) => (engine.turbo ? turboCandidates : tileCandidates)

/** The tile for this engine: the fastest of the candidates that counts right, timed at the first use. */
export function tileShape(engine: Engine): TileShape {
  let shape = chosenTiles.get(engine)
  if (shape === undefined) {
    shape = engine.unrecorded(() => fastestTile(engine))
    chosenTiles.set(engine, shape)
  }
  return shape
}

/** The tile that a plan of this engine's memory counts on: the chosen one or, before any is, what wins on most machines. */
export function presumedTile(engine: Engine): TileShape {
  return chosenTiles.get(engine) ?? candidatesOf(engine)[0]!
}

/** What leaves little empty where columns, or rows, are few. It is slower; with one wide vector per row much slower. */
const smallTile: TileShape = { rows: 4, columns: 8 }
const smallTurboTile: TileShape = { rows: 6, columns: 8 }

/**
 * The tile for results of `n` columns and, if it matters, of `m` rows: a smaller one where much of a large one would
 * stay empty.
 */
export function tileFor(engine: Engine, n: number, m = 0): TileShape {
  return n <= 4 ? { rows: 7, columns: 4 } : fitting(engine, tileShape(engine), n, m)
}

/**
 * The tile for the products of Winograd's planes with `n` columns. Their rows are the tiles of a few rows of an image, so
 * that many rows at a time leave some empty, and each panel of weights is read for few rows.
 */
export function planeTile(engine: Engine, n: number): TileShape {
  return fitting(engine, engine.turbo ? tileShape(engine) : { rows: 2, columns: 16 }, n)
}

function fitting(engine: Engine, shape: TileShape, n: number, m = 0): TileShape {
  const [small, share] = engine.turbo ? [smallTurboTile, 0.7] : [smallTile, 0.92]
  const area = ({ rows, columns }: TileShape) => roundUp(m || 1000, rows) * roundUp(n, columns)
  return area(small) < share * area(shape) ? small : shape
}

/** The fastest tile. */
function fastestTile(engine: Engine): TileShape {
  const mark = engine.mark()
  const trials = candidatesOf(engine).map((shape) => tileTrial(engine, shape))
  // In turns, so that a disturbance of the machine meets all.
  const turn = () => {
    for (const trial of trials) trial.turn()
  }
  for (const start = performance.now(); performance.now() < start + longestWait; ) {
    turn()
    if (trials.every((trial) => trial.isOptimized())) break
  }
  for (let i = 0; i < turns; i++) turn()
  const right = trials.filter((trial) => trial.isRight())
  const best = (right.length > 0 ? right : trials).reduce((a, b) => (gain(a.times, b.times) > clearly ? b : a))
  engine.release(mark)
  return best.shape
}

/**
 * How many times as fast as those of `a` products of `b` are, each with its own tile, which the host has optimised: the median of
 * turns side by side, so that a disturbance of the machine meets both.
 */
export function productGain(a: Engine, b: Engine): number {
  const pair = [a, b] as const
  const shapes = pair.map(tileShape)
  const marks = pair.map((engine) => engine.mark())
  const [first, second] = pair.map((engine, i) => tileTrial(engine, shapes[i] as TileShape)) as [TileTrial, TileTrial]
  for (let i = 0; i < turns; i++) for (const trial of [first, second]) trial.turn()
  for (const [i, engine] of pair.entries()) engine.release(marks[i] as number)
  return gain(first.times, second.times)
}

/** How many times as long `a` took as `b`: the median of their last turns, each beside the other's. */
function gain(a: readonly number[], b: readonly number[]): number {
  const ratios = a.slice(-turns).map((time, i) => time / (b.at(i - turns) as number))
  return ratios.sort((x, y) => x - y)[turns / 2] as number
}

/** A product of whole tiles of every candidate, too small to be shared by threads. */
const [trialRows, trialColumns, trialDepth] = [48, 96, 96] as const
/** How much faster a tile must be than one before it: those with wide rows gain more in large products. */
const clearly = 1.07
/** Milliseconds of a turn, and turns in which all are optimised code. */
const turnTime = 0.25
const turns = 8
/** Milliseconds to wait at most for the host to optimise all. */
const longestWait = 150
/** Multiply-adds per millisecond that no code of a baseline compiler does; from that to optimised code speed doubles. */
const optimizedSpeed = 8e6

interface TileTrial {
  readonly shape: TileShape
  /** Runs the tile for `turnTime`. */
  turn(): void
  /** Milliseconds of the best run of each turn. */
  readonly times: readonly number[]
  /**
   * Whether the host's optimising compiler has been there. It works in the background, for about 5 ms if it gets a core for
   * itself; a candidate judged before it is done would lose to any other.
   */
  isOptimized(): boolean
  /** Whether the numbers are right. */
  isRight(): boolean
}

function tileTrial(engine: Engine, shape: TileShape): TileTrial {
  const [m, n, k] = [trialRows, trialColumns, trialDepth]
  const { columns } = shape
  const a = engine.workspace((m * k + k * n + m * n) * 4)
  const packed = a + m * k * 4
  const out = packed + k * n * 4
  const numbers = engine.heap.floats(a, m * k + k * n)
  // Small integers, so that sums are exact: A[i][k] = (i + k) % 4 - 1, B[k][j] = (j + 3 k) % 5 - 2.
  const left = (i: number, k: number) => ((i + k) % 4) - 1
  const right = (k: number, j: number) => ((j + 3 * k) % 5) - 2
  for (let i = 0; i < m; i++) for (let d = 0; d < k; d++) numbers[i * k + d] = left(i, d)
  for (let j = 0; j < n; j++) {
    const panel = m * k + Math.floor(j / columns) * columns * k
    for (let d = 0; d < k; d++) numbers[panel + d * columns + (j % columns)] = right(d, j)
  }
  const run = () => gemm(engine, shape, a, packed, 0, out, m, n, k)
  // Compiles it.
  run()
  const times: number[] = []
  const time = () => Math.min(...times)
  return {
    shape,
    times,
    turn() {
      let best = Number.POSITIVE_INFINITY
      const start = performance.now()
      for (let last = start; last < start + turnTime; ) {
        run()
        const now = performance.now()
        best = Math.min(best, now - last)
        last = now
      }
      times.push(best)
    },
    isOptimized: () => time() < (times[0] as number) / 2 || m * n * k > optimizedSpeed * time(),
    isRight() {
      // They repeat every 4 rows and every 5 columns.
      const sums = Array.from({ length: 20 }, (_, at) => {
        let sum = 0
        for (let d = 0; d < k; d++) sum += left(Math.floor(at / 5), d) * right(d, at % 5)
        return sum
      })
      return engine.heap
        .floats(out, m * n)
        .every((value, at) => value === sums[(Math.floor(at / n) % 4) * 5 + ((at % n) % 5)])
    },
  }
}
