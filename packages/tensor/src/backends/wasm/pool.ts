/**
 * Threads of the wasm backend: workers on the heap's shared memory, of which the calling thread is one.
 *
 * A job is cut into chunks of units; every thread, the calling one included, claims one chunk after another. Who does
 * which chunk does not matter for the result, so nothing waits for a thread that is asleep, still starting or gone: the
 * calling thread does what nobody else has begun, and waits only for chunks that are being worked on. The one fault
 * that costs a result is a thread that dies in the middle of a chunk.
 */
import { ArgumentError, BackendError } from '../../errors.ts'
import type { Kernel } from './engine.ts'
import type { Block, Heap } from './memory.ts'
import {
  availableThreads,
  type Control,
  canHaveThreads,
  chunkStart,
  closedChunk,
  maxArgs,
  newControl,
  startWorker,
  tagShift,
  word,
} from './worker.ts'

/** Chunks per thread: enough to even out a thread that is slow or late. */
const chunksPerThread = 4
/** Milliseconds of work on jobs worth sharing that are done before threads are started. */
const patience = 4
/** Looks at `done` before the calling thread sleeps: some microseconds. */
const joinSpins = 4000
/** Milliseconds of one sleep. Deadlines count sleeps, so that they do not pass while the whole process is stopped. */
const slice = 50
/** A thread that finishes nothing for this long, in milliseconds, or for this many of the longest chunks is lost. */
const lossTime = 1000
const lossChunks = 10
/** Crews that never came up before threads are given up. */
const maxFailures = 3

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

  get cameUp(): boolean {
    return Atomics.load(this.control.words, word.ready) > 0
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
  readonly #able: boolean
  #threads: number
  #crew: Crew | null = null
  #failures = 0
  #worked = 0
  #tag = 0
  /** The modules of the kernels that have been shared, where workers can read them. */
  readonly #code: Block[] = []

  constructor(heap: Heap, threads: number = Math.min(8, availableThreads())) {
    this.#heap = heap
    this.#able = heap.shared && canHaveThreads()
    this.#threads = threads
  }

  /** Threads that jobs are spread over, the calling one included. */
  get threads(): number {
    return this.#able && this.#failures < maxFailures ? this.#threads : 1
  }

  set threads(threads: number) {
    if (!Number.isInteger(threads) || threads < 1 || threads > 64) {
      throw new ArgumentError(`setThreads: threads expects an integer from 1 to 64, got ${threads}`)
    }
    if (threads === this.#threads) return
    this.#threads = threads
    this.#failures = 0
    this.#crew?.dismiss()
    this.#crew = null
  }

  /**
   * Runs `kernel` over [0, units) in at most `parts` chunks on all threads. False: it is better run on the calling
   * thread alone, and nothing was done.
   */
  run(kernel: Kernel, args: readonly number[], units: number, parts: number): boolean {
    const threads = this.threads
    if (threads < 2 || args.length > maxArgs) return false
    const crew = this.#ready(threads)
    if (crew === null) {
      const start = performance.now()
      kernel.run(...args, 0, units, 0)
      this.#worked += performance.now() - start
      return true
    }
    const chunks = Math.min(parts, threads * chunksPerThread)
    this.#post(crew, kernel, args, units, chunks)
    this.#work(crew, kernel, args, units, chunks)
    return true
  }

  /** The crew, started or replaced if need be; null while it is too early to have one. */
  #ready(threads: number): Crew | null {
    let crew = this.#crew
    if (crew?.lost) {
      this.#failures = crew.cameUp ? 0 : this.#failures + 1
      crew.terminate()
      crew = null
    }
    if (crew === null && this.#worked >= patience) crew = new Crew(this.#heap.memory, threads - 1)
    this.#crew = crew
    return crew
  }

  #post({ control }: Crew, kernel: Kernel, args: readonly number[], units: number, chunks: number): void {
    const { words } = control
    let code = this.#code[kernel.id]
    if (code === undefined) {
      code = this.#heap.alloc(kernel.code.length)
      this.#heap.u8.set(kernel.code, code.ptr)
      this.#code[kernel.id] = code
    }
    this.#tag++
    Atomics.store(words, word.next, (this.#tag << tagShift) | closedChunk)
    words[word.kernel] = kernel.id
    words[word.codeAt] = code.ptr
    words[word.codeLength] = kernel.code.length
    words[word.args] = args.length
    words[word.units] = units
    words[word.chunks] = chunks
    control.args.set(args)
    Atomics.store(words, word.done, 0)
    // The first chunk is the calling thread's: its time is what the others are measured by.
    Atomics.store(words, word.next, (this.#tag << tagShift) | 1)
    Atomics.add(words, word.generation, 1)
    if (Atomics.load(words, word.sleeping) > 0) Atomics.notify(words, word.generation)
  }

  /** Works on the posted job until all is done. */
  #work(crew: Crew, kernel: Kernel, args: readonly number[], units: number, chunks: number): void {
    const { words } = crew.control
    let longest = 0
    let chunk = 0
    let failure: unknown
    for (;;) {
      const start = performance.now()
      try {
        kernel.run(...args, chunkStart(units, chunk, chunks), chunkStart(units, chunk + 1, chunks), 0)
      } catch (error) {
        failure = error
      }
      longest = Math.max(longest, performance.now() - start)
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
    for (let i = 0; i < joinSpins; i++) if (Atomics.load(words, word.done) >= claimed) return
    Atomics.store(words, word.joining, 1)
    let left = lossSlices(longest)
    for (let done = Atomics.load(words, word.done); done < claimed; ) {
      const woken = Atomics.wait(words, word.done, done, slice)
      const now = Atomics.load(words, word.done)
      left = now === done && woken === 'timed-out' ? left - 1 : lossSlices(longest)
      done = now
      if (left === 0) {
        crew.terminate()
        this.#crew = null
        throw new BackendError('wasm: a thread died while it ran a kernel; the threads are started anew')
      }
    }
    Atomics.store(words, word.joining, 0)
  }
}

function lossSlices(longest: number): number {
  return Math.ceil(Math.max(lossTime, longest * lossChunks) / slice)
}
