import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { f32x4, i32, v128 } from '../../src/backends/wasm/asm.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'
import type { Kernel } from '../../src/backends/wasm/kernel-cache.ts'
import { runAlone } from '../../src/backends/wasm/pool.ts'
import { ArgumentError, BackendError } from '../../src/errors.ts'

const threadsModule = process.getBuiltinModule('node:worker_threads')
const Original = threadsModule.Worker
const workers: InstanceType<typeof Original>[] = []
// Every worker of the pool passes by here, so that a test can kill it.
threadsModule.Worker = class extends Original {
  constructor(...args: ConstructorParameters<typeof Original>) {
    super(...args)
    workers.push(this)
  }
}

const engines: Engine[] = []

function newEngine(threads: number): Engine {
  const engine = new Engine({ threads, initialPages: 64 })
  engines.push(engine)
  return engine
}

afterEach(async () => {
  for (const engine of engines.splice(0)) engine.pool.threads = 1
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()))
})

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

/** y[unit] = sin-like mess of x[unit], four floats per unit. */
function mess(engine: Engine): Kernel {
  return engine.kernel('mess', (m) =>
    m.func('run', ['i32', 'i32', 'f32', 'i32', 'i32'], (b, x, y, s, from, to) => {
      const factor = b.let(f32x4.splat(s))
      b.for(b.let(i32.mul(from, 16)), i32.mul(to, 16), 16, (p) => {
        const value = b.let(v128.load(i32.add(x, p)))
        const turns = b.let(i32.const(50))
        b.repeat(turns, () => b.set(value, f32x4.add(f32x4.mul(value, factor), 1)))
        b.emit(v128.store(i32.add(y, p), value))
      })
    }),
  )
}

/** Every part counts down `turns` per unit and then adds 1 to its units; `trap` is a unit that traps. */
function counter(engine: Engine): Kernel {
  return engine.kernel('counter', (m) =>
    m.func('run', ['i32', 'i32', 'i32', 'i32', 'i32'], (b, y, turns, trap, from, to) => {
      const unit = b.let(from)
      b.for(unit, to, 1, (unit) => {
        b.if(i32.eq(unit, trap), () => b.unreachable())
        const left = b.let(turns)
        const rest = b.let(i32.const(1))
        b.loop((again) => {
          b.add(left, -1)
          // A division, which takes its time.
          b.set(rest, i32.remU(i32.add(rest, 1e9), i32.or(left, 1)))
          again(i32.gt(left, 0))
        })
        const at = b.let(i32.add(y, i32.mul(unit, 4)))
        b.emit(i32.store(at, i32.add(i32.load(at), i32.ne(rest, -1))))
      })
    }),
  )
}

/** The kernel, and how many units this thread has done of it. */
function watched(kernel: Kernel): { kernel: Kernel; own: () => number } {
  let units = 0
  const run: Kernel['run'] = (...args) => {
    // The arguments end with from, to, thread.
    units += (args.at(-2) as number) - (args.at(-3) as number)
    return kernel.run(...args)
  }
  return { kernel: { ...kernel, run }, own: () => units }
}

/** Works until another thread has been seen to help. */
function warmUp(engine: Engine): void {
  const units = 256
  const y = engine.alloc('int32', units)
  const { kernel, own } = watched(counter(engine))
  const deadline = performance.now() + 20_000
  for (let done = 0; own() === done; done += units) {
    engine.parallel(kernel, [y.ptr, 1000, -1], units, 4)
    if (performance.now() > deadline) throw new Error('no thread came to help')
  }
  engine.free(y)
}

function messOf(engine: Engine, units: number): Float32Array {
  const x = engine.alloc('float32', units * 4)
  const y = engine.alloc('float32', units * 4)
  engine.heap.floats(x.ptr, x.length).forEach((_, i, array) => {
    array[i] = Math.sin(i)
  })
  engine.heap.floats(y.ptr, y.length).fill(Number.NaN)
  for (let i = 0; i < 20; i++) engine.parallel(mess(engine), [x.ptr, y.ptr, 0.75], units, 7)
  const result = engine.array(y).slice() as Float32Array
  engine.free(x)
  engine.free(y)
  return result
}

describe('threads', () => {
  it('give the same bits for any number of them', () => {
    const engine = newEngine(1)
    const alone = messOf(engine, 3001)
    expect(alone.every((value) => Number.isFinite(value))).toBe(true)
    for (const threads of [2, 3, 4]) {
      engine.pool.threads = threads
      expect(engine.pool.threads).toBe(threads)
      warmUp(engine)
      expect(messOf(engine, 3001)).toEqual(alone)
    }
  })

  it('do every unit exactly once, in parts that two threads really share', () => {
    const engine = newEngine(2)
    warmUp(engine)
    const units = 64
    const y = engine.alloc('int32', units)
    engine.array(y).fill(0)
    const { kernel, own } = watched(counter(engine))
    const rounds = 50
    for (let i = 0; i < rounds; i++) engine.parallel(kernel, [y.ptr, 20_000, -1], units, 4)
    expect([...engine.array(y)]).toEqual(new Array(units).fill(rounds))
    expect(own()).toBeGreaterThan(0)
    expect(own()).toBeLessThan(units * rounds)
  })

  it('are not started for little work', () => {
    const engine = newEngine(4)
    messOf(engine, 14)
    expect(workers).toHaveLength(0)
  })

  it('leave when there are to be fewer', async () => {
    const engine = newEngine(4)
    const left: Promise<unknown>[] = []
    const count = (): void => {
      for (const worker of workers.slice(left.length)) left.push(new Promise((resolve) => worker.once('exit', resolve)))
    }
    const started: number[] = []
    for (const threads of [4, 3, 1, 2, 1]) {
      engine.pool.threads = threads
      if (threads > 1) warmUp(engine)
      else messOf(engine, 500)
      count()
      started.push(left.length)
    }
    expect(started).toEqual([3, 5, 5, 6, 6])
    await Promise.all(left)
  })

  it('refuse numbers that make no sense', () => {
    const engine = newEngine(2)
    for (const threads of [0, -1, 1.5, Number.NaN, 65]) {
      expect(() => {
        engine.pool.threads = threads
      }).toThrow(ArgumentError)
    }
    expect(engine.pool.threads).toBe(2)
  })
})

describe('faults', () => {
  it('a trap is a BackendError, on whichever thread, and the next call works', () => {
    const engine = newEngine(2)
    warmUp(engine)
    const units = 32
    const y = engine.alloc('int32', units)
    for (let unit = 0; unit < units; unit++) {
      expect(() => engine.parallel(counter(engine), [y.ptr, 5000, unit], units, 2)).toThrow(BackendError)
    }
    engine.array(y).fill(0)
    engine.parallel(counter(engine), [y.ptr, 5000, -1], units, 2)
    expect([...engine.array(y)]).toEqual(new Array(units).fill(1))
  })

  it('a worker killed while it sleeps costs nothing', async () => {
    const engine = newEngine(2)
    const alone = messOf(newEngine(1), 500)
    warmUp(engine)
    const killed = workers.map((worker) => worker.terminate())
    // Its death is on its way, but this thread cannot know yet.
    expect(messOf(engine, 500)).toEqual(alone)
    await Promise.all(killed)
    const before = workers.length
    expect(messOf(engine, 500)).toEqual(alone)
    expect(workers.length).toBeGreaterThan(before)
  })

  it('a worker killed in the middle of a kernel, while the caller waits, is a BackendError within 2 s', () => {
    const engine = newEngine(2)
    warmUp(engine)
    const y = engine.alloc('int32', 2)
    const kernel = counter(engine)
    const killing: Kernel = {
      ...kernel,
      id: 5,
      run: (...args) => {
        sleep(90)
        for (const worker of workers) worker.terminate()
        return kernel.run(args[0] as number, 0, -1, 0, 1)
      },
    }
    const start = performance.now()
    expect(() => engine.parallel(killing, [y.ptr, 2 ** 31 - 1, -1], 2, 0.01)).toThrow(BackendError)
    expect(performance.now() - start).toBeLessThan(2150)
    warmUp(engine)
    expect(messOf(engine, 500)).toEqual(messOf(newEngine(1), 500))
  })

  it.skipIf(process.platform !== 'linux')('also while other threads of the process compute', () => {
    const engine = newEngine(2)
    warmUp(engine)
    const y = engine.alloc('int32', 2)
    const kernel = counter(engine)
    const stranger = new Original('for (;;);', { eval: true })
    const killing: Kernel = {
      ...kernel,
      id: 5,
      run: (...args) => {
        sleep(90)
        for (const worker of workers) worker.terminate()
        return kernel.run(args[0] as number, 0, -1, 0, 1)
      },
    }
    const start = performance.now()
    expect(() => engine.parallel(killing, [y.ptr, 2 ** 31 - 1, -1], 2, 0.01)).toThrow(BackendError)
    expect(performance.now() - start).toBeLessThan(2150)
    void stranger.terminate()
  })

  it('a worker killed at any moment costs a BackendError at most, and the next call works', async () => {
    const engine = newEngine(2)
    const y = engine.alloc('int32', 64)
    const kernel = counter(engine)
    const outcomes = { right: 0, error: 0 }
    const rounds = 12
    for (let round = 0; round < rounds; round++) {
      warmUp(engine)
      engine.array(y).fill(0)
      const [victim] = workers.slice(-1)
      let calls = 0
      const killing: Kernel = {
        ...kernel,
        run: (...args) => {
          // Before this or that chunk of this thread, and some time into the other's.
          if (calls++ === round % 4) {
            sleep(5 * (round % 5))
            void victim?.terminate()
          }
          return kernel.run(...args)
        },
      }
      try {
        engine.parallel(killing, [y.ptr, 50_000 * (1 + (round % 7)), -1], 64, 1)
        expect([...engine.array(y)]).toEqual(new Array(64).fill(1))
        outcomes.right++
      } catch (error) {
        expect(error).toBeInstanceOf(BackendError)
        expect((error as Error).message).toMatch(/a thread died while it ran a kernel/)
        outcomes.error++
      }
      engine.array(y).fill(0)
      engine.parallel(kernel, [y.ptr, 10, -1], 64, 1)
      expect([...engine.array(y)]).toEqual(new Array(64).fill(1))
      // News of the death arrives.
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(outcomes.right + outcomes.error).toBe(rounds)
    expect(outcomes.error).toBeGreaterThan(0)
  }, 60_000)

  it('a long kernel is not taken for a dead thread', () => {
    const engine = newEngine(2)
    warmUp(engine)
    const y = engine.alloc('int32', 2)
    engine.array(y).fill(0)
    const kernel = counter(engine)
    // This thread's half takes 0.4 s, the other's more than one.
    const quick: Kernel = {
      ...kernel,
      id: 5,
      run: (...args) => {
        sleep(400)
        return kernel.run(args[0] as number, 0, -1, args[3] as number, args[4] as number)
      },
    }
    const start = performance.now()
    engine.parallel(quick, [y.ptr, 500_000_000, -1], 2, 0.01)
    expect(performance.now() - start).toBeGreaterThan(1000)
    expect([...engine.array(y)]).toEqual([1, 1])
  })

  it('what a worker throws is a BackendError with its message', () => {
    const engine = newEngine(2)
    warmUp(engine)
    const y = engine.alloc('int32', 64)
    // Compiles here and not there.
    const broken: Kernel = { ...counter(engine), id: 7, code: new Uint8Array([0, 1, 2, 3]) }
    expect(() => {
      for (let i = 0; i < 100; i++) engine.parallel(broken, [y.ptr, 20_000, -1], 64, 2)
    }).toThrow(BackendError)
    engine.array(y).fill(0)
    engine.parallel(counter(engine), [y.ptr, 1, -1], 64, 2)
    expect([...engine.array(y)]).toEqual(new Array(64).fill(1))
  })

  it('threads that cannot be started are done without', () => {
    const engine = newEngine(3)
    const alone = messOf(newEngine(1), 500)
    const Kept = threadsModule.Worker
    threadsModule.Worker = class extends Original {
      constructor() {
        super('')
        throw new Error('no more threads')
      }
    }
    try {
      for (let i = 0; i < 30; i++) expect(messOf(engine, 500)).toEqual(alone)
      expect(engine.pool.threads).toBe(1)
    } finally {
      threadsModule.Worker = Kept
    }
  })
})

describe('a script that uses threads', () => {
  it('ends by itself', async () => {
    const script = fileURLToPath(new URL('./threads-script.ts', import.meta.url))
    const run = promisify(execFile)(process.execPath, ['--import', 'tsx', script], { timeout: 20_000 })
    const { stdout } = await run
    expect(JSON.parse(stdout)).toEqual({ threads: 2, helped: true, exact: true })
  }, 30_000)
})

describe('a young kernel', () => {
  it.each([1, 2, 7, 8, 9, 1000])('runs jobs of %d units in parts, each unit once, and later at once', (units) => {
    const ranges: number[][] = []
    const run = (...args: number[]): undefined => void ranges.push(args)
    const kernel = { id: 0, key: 'fake', run, code: new Uint8Array(0), parts: 0, times: new Map() }
    const job = (): number[][] => {
      runAlone(kernel, [5, 6], units)
      return ranges.splice(0)
    }
    const covered = (calls: number[][]): void => {
      let at = 0
      for (const [a, b, from, to, thread] of calls) {
        expect([a, b, from, thread]).toEqual([5, 6, at, 0])
        expect(to).toBeGreaterThan(at)
        at = to as number
      }
      expect(at).toBe(units)
    }
    const first = job()
    covered(first)
    if (units > 1) expect(first.length).toBeGreaterThan(1)
    for (let i = 0; i < 100; i++) covered(job())
    expect(job()).toEqual([[5, 6, 0, units, 0]])
  })
})
