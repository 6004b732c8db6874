/**
 * Threads of the wasm backend: workers on the heap's shared memory, of which the calling thread is one.
 *
 * A job is cut into chunks of units; every thread, the calling one included, claims one chunk after another. Who does
 * which chunk does not matter for the result, so nothing waits for a thread that is asleep, still starting or gone: the
 * calling thread does what nobody else has begun, and waits only for chunks that are being worked on. The one fault
 * that costs a result is a thread that dies in the middle of a chunk.
 */
import { ArgumentError, BackendError } from '../../errors.ts'
import type { Block } from './allocator.ts'
import type { Kernel } from './kernel-cache.ts'
import type { Heap } from './memory.ts'
import {
  availableThreads,
  type Control,
  closedChunk,
  fate,
  maxArgs,
  maxChunks,
  maxThreads,
  newControl,
  spinLooks,
  spinTime,
  startWorker,
  tagShift,
  threadObstacle,
  word,
} from './worker.ts'

/**
 * A chunk is this share of a thread's share of what is left, so that chunks become smaller to the end, where threads wait
 * for each other; the smallest is this part of a thread's share of the job.
 */
const chunkShare = 0.5
const smallestShare = 1 / 16
/** Milliseconds of work on jobs worth sharing that are done before threads are started. */
const patience = 4
/** Milliseconds of a job that is worth waking threads for; a shorter one is shared with those that are awake. */
const wakingTime = 0.08
/** Milliseconds that a part takes at least, if callers chose their grain well. */
const partTime = 0.01
/** Milliseconds of one sleep. Deadlines count sleeps, so that they do not pass while the whole process is stopped. */
const slice = 50
/**
 * Where the system does not tell whether a thread lives, one that finishes nothing for this long, in milliseconds, or for
 * this many of the longest chunks is lost.
 */
const lossTime = 1000
const lossChunks = 10
/**
 * While threads live, or the process computes, time counts this much less: on a busy machine a thread may get little of a
 * core. Not for ever, as it may be others' threads that compute, and a kernel may have no end.
 */
const patienceWhileBusy = 60
/** Milliseconds between two looks at whether all threads live, for a program that never waits for events hears of no death. */
const checkTime = 1000
/** Share of a sleep that must have been computed in the process to say that it is busy. */
const busyShare = 0.01
/** Crews that never came up before threads are given up. */
const maxFailures = 3
/** Milliseconds that `start` waits at most, and between two looks. */
const startTime = 10_000
const startLook = 2

/** What stands in the way of threads: no shared memory, no workers, a thread that must not wait, or workers that fail. */
export type Obstacle = NonNullable<ReturnType<typeof threadObstacle>> | 'failed'

/** A generation of workers and their control block; replaced as a whole. */
class Crew {
  readonly control: Control = newControl()
  readonly #workers: { terminate(): unknown }[] = []
  /** Whether the crew is to be replaced. */
  lost = false

  constructor(memory: WebAssembly.Memory, size: number) {
    try {
      for (let i = 0; i < size; i++) {
        this.#workers.push(
          startWorker(memory, this.control, i + 1, () => {
            this.lost = true
          }),
        )
      }
    } catch {
      // The host refuses more workers (permissions, limits).
      this.lost = true
    }
  }

  /** Workers that have come up. */
  get up(): number {
    return Atomics.load(this.control.words, word.ready)
  }

  /** Lets the workers leave when they have done what they are doing. */
  dismiss(): void {
    const { words } = this.control
    Atomics.store(words, word.next, closedChunk)
    Atomics.store(words, word.stop, 1)
    Atomics.add(words, word.generation, 1)
    Atomics.notify(words, word.generation)
  }

  /** Stops the workers wherever they are. */
  terminate(): void {
    this.dismiss()
    for (const worker of this.#workers) worker.terminate()
  }
}

export class Pool {
  readonly #heap: Heap
  readonly #obstacle: Obstacle | undefined
  #threads: number
  #crew: Crew | null = null
  #failures = 0
  /** When the threads were last looked at. */
  #checked = 0
  #worked = 0
  #tag = 0
  /** The modules of the kernels that have been shared, where workers can read them. */
  readonly #code: Block[] = []

  constructor(heap: Heap, threads: number = Math.min(8, availableThreads())) {
    this.#heap = heap
    this.#obstacle = heap.shared ? threadObstacle() : 'memory'
    this.#threads = threads
  }

  /** Threads that jobs are spread over, the calling one included. */
  get threads(): number {
    return this.obstacle === undefined ? this.#threads : 1
  }

  /** Why there can be no more than one thread. */
  get obstacle(): Obstacle | undefined {
    return this.#obstacle ?? (this.#failures < maxFailures ? undefined : 'failed')
  }

  set threads(threads: number) {
    if (!Number.isInteger(threads) || threads < 1 || threads > maxThreads) {
      throw new ArgumentError(`setThreads: threads expects an integer from 1 to ${maxThreads}, got ${threads}`)
    }
    if (threads === this.#threads) return
    this.#threads = threads
    this.#failures = 0
    this.#crew?.dismiss()
    this.#crew = null
  }

  /** Lets all threads leave, and what they know of kernels; the next job that is worth it starts others. */
  forget(): void {
    this.#crew?.dismiss()
    this.#crew = null
    this.#code.forEach((block) => {
      this.#heap.free(block)
    })
    this.#code.length = 0
  }

  /** Starts the threads now; resolves when all are up, when there can be none, or when it has taken too long. */
  async start(): Promise<void> {
    this.#worked = patience
    for (const end = performance.now() + startTime; performance.now() < end; ) {
      const { threads } = this
      if (threads < 2 || (this.#ready(threads)?.up ?? 0) >= threads - 1) return
      await new Promise((resolve) => setTimeout(resolve, startLook))
    }
  }

  /**
   * Runs `kernel` over [0, units), work for `parts` parts, on several threads if that is worth it. False: there is
   * only one thread, and nothing was done.
   */
  run(kernel: Kernel, args: readonly number[], units: number, parts: number): boolean {
    const threads = this.threads
    if (threads < 2 || args.length > maxArgs) return false
    const crew = this.#ready(threads)
    if (crew === null) {
      this.#worked += this.#alone(kernel, args, units)
      return true
    }
    const expected = Math.max(partTime * parts, kernel.times.get(units) ?? 0)
    const waking = expected >= wakingTime
    if (!waking && Atomics.load(crew.control.words, word.sleeping) >= threads - 1) {
      this.#alone(kernel, args, units)
      return true
    }
    const chunks = cut(crew.control.starts, units, parts, isYoung(kernel) ? youngParts : threads)
    kernel.parts += chunks
    this.#post(crew, kernel, args, chunks, waking)
    this.#work(crew, kernel, args, units, chunks)
    return true
  }

  /** Runs a job on the calling thread; gives its milliseconds. */
  #alone(kernel: Kernel, args: readonly number[], units: number): number {
    const start = performance.now()
    runAlone(kernel, args, units)
    const time = performance.now() - start
    measured(kernel, units, time)
    return time
  }

  /** The crew, started or replaced if need be; null while it is too early to have one. */
  #ready(threads: number): Crew | null {
    let crew = this.#crew
    const now = performance.now()
    if (crew !== null && now - this.#checked > checkTime) {
      this.#checked = now
      if (fate(crew.control, 'all') === 'dead') crew.lost = true
    }
    if (crew?.lost) {
      this.#failures = crew.up > 0 ? 0 : this.#failures + 1
      crew.terminate()
      crew = null
    }
    if (crew === null && this.#worked >= patience) crew = new Crew(this.#heap.memory, threads - 1)
    this.#crew = crew
    return crew
  }

  #post({ control }: Crew, kernel: Kernel, args: readonly number[], chunks: number, waking: boolean): void {
    const { words } = control
    let code = this.#code[kernel.id]
    if (code === undefined) {
      code = this.#heap.alloc(kernel.code.length)
      new Uint8Array(this.#heap.memory.buffer).set(kernel.code, code.ptr)
      this.#code[kernel.id] = code
    }
    this.#tag++
    Atomics.store(words, word.next, (this.#tag << tagShift) | closedChunk)
    words[word.kernel] = kernel.id
    words[word.codeAt] = code.ptr
    words[word.codeLength] = kernel.code.length
    words[word.args] = args.length
    words[word.chunks] = chunks
    words[word.bytes] = this.#heap.reserved
    // One by one: in a loop, that takes a fraction of the time that `set` takes for a few numbers.
    for (let i = 0; i < args.length; i++) control.args[i] = args[i] as number
    Atomics.store(words, word.done, 0)
    // The first chunk is the calling thread's: its time is what the others are measured by.
    Atomics.store(words, word.next, (this.#tag << tagShift) | 1)
    Atomics.add(words, word.generation, 1)
    if (waking && Atomics.load(words, word.sleeping) > 0) Atomics.notify(words, word.generation)
  }

  /** Works on the posted job until all is done. */
  #work(crew: Crew, kernel: Kernel, args: readonly number[], units: number, chunks: number): void {
    const { words, starts } = crew.control
    const call = new Call(kernel, args)
    let longest = 0
    let chunk = 0
    let failure: unknown
    for (;;) {
      const [from, to] = [starts[chunk] as number, starts[chunk + 1] as number]
      const start = chunk === 0 ? performance.now() : 0
      try {
        call.run(from, to)
      } catch (error) {
        failure = error
      }
      if (chunk === 0) {
        // No other is larger.
        longest = performance.now() - start
        measured(kernel, units, (longest / to) * units)
      }
      Atomics.add(words, word.done, 1)
      if (failure !== undefined || Atomics.load(words, word.failed) !== 0) break
      chunk = Atomics.add(words, word.next, 1) & closedChunk
      if (chunk >= chunks) break
    }
    // Closes the job: what was claimed until now is what there is to wait for.
    const closed = (this.#tag << tagShift) | closedChunk
    const claimed = Math.min(chunks, Atomics.exchange(words, word.next, closed) & closedChunk)
    this.#join(crew, claimed, longest)
    if (Atomics.load(words, word.failed) !== 0) {
      Atomics.store(words, word.failed, 0)
      const length = Atomics.load(words, word.failureLength)
      failure ??= new Error(String.fromCharCode(...crew.control.failure.subarray(0, length)))
    }
    if (failure !== undefined) throw failure
  }

  /** Waits until `claimed` chunks are done. */
  #join(crew: Crew, claimed: number, longest: number): void {
    const { words } = crew.control
    const end = performance.now() + spinTime
    do {
      for (let i = 0; i < spinLooks; i++) if (Atomics.load(words, word.done) >= claimed) return
    } while (performance.now() < end)
    Atomics.store(words, word.joining, 1)
    const allowance = Math.max(lossTime, longest * lossChunks)
    let left = allowance
    // The first sleep only finds out what there is to compare with: most joins end before it does.
    let computed = Number.NaN
    for (let done = Atomics.load(words, word.done); done < claimed; ) {
      const woken = Atomics.wait(words, word.done, done, slice)
      const now = Atomics.load(words, word.done)
      if (now === done && woken === 'timed-out') {
        const before = computed
        computed = processTime()
        const known = fate(crew.control, 'working')
        const idle = computed - before <= slice * busyShare
        left = known === 'dead' ? 0 : left - (known === 'alive' || !idle ? slice / patienceWhileBusy : slice)
      } else {
        left = allowance
      }
      done = now
      if (left <= 0 && Atomics.load(words, word.done) === done) {
        crew.terminate()
        this.#crew = null
        throw new BackendError('wasm: a thread died while it ran a kernel; the threads are started anew')
      }
    }
    Atomics.store(words, word.joining, 0)
  }
}

/**
 * Cuts [0, units), work for `parts` parts, into chunks for `shares` equal shares: writes where each begins and the last one ends
 * to `starts`, and gives their number.
 */
function cut(starts: Int32Array, units: number, parts: number, shares: number): number {
  const smallest = Math.max(1, units / parts, (units / shares) * smallestShare)
  let chunks = 0
  for (let from = 0; from < units; chunks++) {
    starts[chunks] = from
    const left = units - from
    const wanted = Math.round(Math.max(smallest, (left / shares) * chunkShare))
    from += chunks < maxChunks - 1 ? Math.min(left, wanted) : left
  }
  starts[chunks] = units
  return chunks
}

/** Parts of a young kernel's job, and how many of them a kernel runs before it counts as grown up. */
const youngParts = 32
const grownUp = 64

/**
 * Whether a job of the kernel is best done in many parts. Hosts compile a module in a hurry first, and well on another thread
 * once it proves busy; but a call that has begun runs the hurried code to its end, which takes several times as long.
 */
function isYoung(kernel: Kernel): boolean {
  return kernel.parts < grownUp
}

/** Runs a job on the calling thread. */
export function runAlone(kernel: Kernel, args: readonly number[], units: number): void {
  const parts = isYoung(kernel) ? Math.min(units, youngParts) : 1
  kernel.parts += parts
  const call = new Call(kernel, args)
  for (let part = 0; part < parts; part++) {
    call.run(partStart(units, part, parts), partStart(units, part + 1, parts))
  }
}

/** Where part `part` of `parts` equal ones begins. */
function partStart(units: number, part: number, parts: number): number {
  return Math.floor((units * part) / parts)
}

/** Calls of a kernel on the calling thread with the same arguments but for the units: lists are made once, spreading is slow. */
class Call {
  readonly #kernel: Kernel
  readonly #list: number[]
  readonly #at: number

  constructor(kernel: Kernel, args: readonly number[]) {
    this.#kernel = kernel
    this.#at = args.length
    this.#list = args.slice()
    this.#list.push(0, 0, 0)
  }

  run(from: number, to: number): void {
    this.#list[this.#at] = from
    this.#list[this.#at + 1] = to
    this.#kernel.run.apply(undefined, this.#list)
  }
}

/** Notes that a job took, or would have taken, `time` on one thread. */
function measured({ times }: Kernel, units: number, time: number): void {
  // A thread that was interrupted measures too much: it may rise only slowly.
  times.set(units, Math.min(time, 1.5 * (times.get(units) ?? time)))
}

/** Milliseconds that all threads of the process have computed; always 0 where the host does not tell. */
function processTime(): number {
  if (typeof process !== 'object' || typeof process.cpuUsage !== 'function') return 0
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
