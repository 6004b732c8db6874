/**
 * What the threads of the pool run, and the control block through which they are told.
 *
 * A worker sleeps on the word `generation`. To post a job, the main thread closes `next`, writes the job, opens `next`
 * and raises `generation`. `next` holds the job's tag above `tagShift` and the next free chunk below: a worker copies
 * the job and then claims a chunk by compare-and-swap, which fails if the job has changed meanwhile. So any thread may
 * be late, asleep or dead without harm, as long as it has claimed nothing.
 */

/** Where the words of the control block lie (as int32); those that threads contend for have lines of their own. */
export const word = {
  generation: 0,
  /** Workers that sleep or are about to. */
  sleeping: 1,
  /** 1: workers are to leave. */
  stop: 2,
  /** 1: the main thread sleeps on `done`. */
  joining: 3,
  /** 1 once a worker has failed; `failureLength` characters from `failureAt` say how. */
  failed: 4,
  failureLength: 5,
  /** Workers that have come up. */
  ready: 6,
  next: 16,
  done: 32,
  // The job.
  kernel: 48,
  codeAt: 49,
  codeLength: 50,
  args: 51,
  chunks: 52,
  /** Bytes of the memory. */
  bytes: 53,
} as const

/** `next` = tag * 2 ** tagShift + chunk. */
export const tagShift = 10
/** The chunk number that closes a job: more chunks than this there never are. */
export const closedChunk: number = 2 ** tagShift - 1

/** Chunks that a job may have. */
export const maxChunks: number = closedChunk - 1
const argsAt = 256
/** Arguments that a kernel run on several threads may have. */
export const maxArgs = 64
const failureAt: number = argsAt + maxArgs * 8
const maxFailure = 256
const startsAt: number = failureAt + maxFailure * 2
const statesAt: number = startsAt + (maxChunks + 2) * 4
/** Threads that there may be, the calling one included. */
export const maxThreads = 64
const controlBytes: number = statesAt + maxThreads * 8

/** The control block as the main thread sees it. */
export interface Control {
  readonly words: Int32Array
  readonly args: Float64Array
  readonly failure: Uint16Array
  /** The first unit of every chunk of the job, and where the last one ends. */
  readonly starts: Int32Array
  /** Two words per thread: its number in the system, 0 if that is not known, and whether it has, or may have, a chunk. */
  readonly states: Int32Array
}

/** A thread as the host makes it. */
interface Thread {
  terminate(): unknown
}

/**
 * Milliseconds that a thread looks for news before it sleeps. Waking a sleeper costs both sides 10 to 80 microseconds,
 * as much as many kernels take, and kernels follow each other closely.
 */
export const spinTime = 0.2
/** Looks at the news between two looks at the clock. */
export const spinLooks = 100

// Plain JavaScript that no bundler touches. In Node it is evaluated as a script, in a browser loaded from a blob.
const source = `'use strict'
const start = ({ memory, control, thread }) => {
  const w = new Int32Array(control, 0, ${argsAt / 4})
  const args = new Float64Array(control, ${argsAt}, ${maxArgs})
  const failure = new Uint16Array(control, ${failureAt}, ${maxFailure})
  const starts = new Int32Array(control, ${startsAt}, ${maxChunks + 2})
  const states = new Int32Array(control, ${statesAt} + thread * 8, 2)
  const kernels = []
  const list = []
  let bytes = 0
  try {
    // Linux alone tells.
    const fs = require('node:fs')
    const id = fs.readlinkSync('/proc/thread-self').split('/').pop()
    if (fs.existsSync('/proc/self/task/' + id)) Atomics.store(states, 0, id)
  } catch {}
  Atomics.add(w, ${word.ready}, 1)
  while (!Atomics.load(w, ${word.stop})) {
    const generation = Atomics.load(w, ${word.generation})
    for (;;) {
      const next = Atomics.load(w, ${word.next})
      const chunk = next & ${closedChunk}
      const id = w[${word.kernel}], at = w[${word.codeAt}] >>> 0, length = w[${word.codeLength}]
      const count = w[${word.args}]
      list.length = 0
      for (let i = 0; i < count; i++) list.push(args[i])
      list.push(starts[chunk], starts[chunk + 1], thread)
      if (chunk >= w[${word.chunks}] || chunk === ${closedChunk}) break
      Atomics.store(states, 1, 1)
      if (Atomics.compareExchange(w, ${word.next}, next, next + 1) !== next) continue
      try {
        if (bytes !== w[${word.bytes}]) {
          // Hosts tell a thread late that another one has made the memory grow, and copies are checked against what it knows.
          memory.grow(0)
          bytes = w[${word.bytes}]
        }
        if (!kernels[id]) {
          const code = new Uint8Array(memory.buffer, at, length).slice()
          kernels[id] = new WebAssembly.Instance(new WebAssembly.Module(code), { env: { memory } }).exports.run
        }
        kernels[id].apply(undefined, list)
      } catch (error) {
        if (!Atomics.exchange(w, ${word.failed}, 1)) {
          const text = String(error && error.message || error).slice(0, ${maxFailure})
          for (let i = 0; i < text.length; i++) failure[i] = text.charCodeAt(i)
          Atomics.store(w, ${word.failureLength}, text.length)
        }
      }
      Atomics.add(w, ${word.done}, 1)
      if (Atomics.load(w, ${word.joining})) Atomics.notify(w, ${word.done})
    }
    Atomics.store(states, 1, 0)
    const end = performance.now() + ${spinTime}
    do {
      for (let i = 0; i < ${spinLooks} && Atomics.load(w, ${word.generation}) === generation; i++);
    } while (Atomics.load(w, ${word.generation}) === generation && performance.now() < end)
    if (Atomics.load(w, ${word.generation}) !== generation) continue
    Atomics.add(w, ${word.sleeping}, 1)
    Atomics.wait(w, ${word.generation}, generation)
    Atomics.sub(w, ${word.sleeping}, 1)
  }
}
if (typeof require === 'function') start(require('node:worker_threads').workerData)
else onmessage = ({ data }) => (start(data), close())
`

/** A control block with no job posted. */
export function newControl(): Control {
  const buffer = new SharedArrayBuffer(controlBytes)
  const words = new Int32Array(buffer, 0, argsAt / 4)
  words[word.next] = closedChunk
  return {
    words,
    args: new Float64Array(buffer, argsAt, maxArgs),
    failure: new Uint16Array(buffer, failureAt, maxFailure),
    starts: new Int32Array(buffer, startsAt, maxChunks + 2),
    states: new Int32Array(buffer, statesAt, maxThreads * 2),
  }
}

/** What is known of all threads, or of those that have a chunk: one is gone, all are alive, or nothing for sure. */
export function fate({ states }: Control, which: 'all' | 'working'): 'dead' | 'alive' | 'unknown' {
  const fs = globalThis.process?.getBuiltinModule?.('node:fs')
  let known = true
  for (let i = 0; i < states.length; i += 2) {
    const id = Atomics.load(states, i)
    if (which === 'all' ? id === 0 : Atomics.load(states, i + 1) === 0) continue
    if (fs === undefined || id === 0) known = false
    else if (!fs.existsSync(`/proc/self/task/${id}`)) return 'dead'
  }
  return known ? 'alive' : 'unknown'
}

type WorkerThreads = typeof import('node:worker_threads')

function workerThreads(): WorkerThreads | undefined {
  // Not imported: a browser has no such module, and a bundler would look for it.
  return globalThis.process?.getBuiltinModule?.('node:worker_threads')
}

/**
 * Why this thread may have no helpers: it must share memory with them, be able to start them, and be allowed to wait for
 * them. Undefined where it may.
 */
export function threadObstacle(): 'memory' | 'workers' | 'waiting' | undefined {
  if (typeof SharedArrayBuffer !== 'function') return 'memory'
  if (workerThreads() === undefined && (typeof Worker !== 'function' || typeof Blob !== 'function')) return 'workers'
  try {
    // The main thread of a browser must not wait: this throws there.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0)
    return undefined
  } catch {
    return 'waiting'
  }
}

/** Threads that the host runs at once. */
export function availableThreads(): number {
  const os = globalThis.process?.getBuiltinModule?.('node:os')
  return os?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1
}

/** Where a browser finds the worker's source. */
let scriptUrl: string | undefined

/**
 * Starts worker number `thread` on the memory; `onLoss` is called when it is gone, whatever the reason. It does not keep
 * a process alive.
 */
export function startWorker(memory: WebAssembly.Memory, control: Control, thread: number, onLoss: () => void): Thread {
  const workerData = { memory, control: control.words.buffer, thread }
  const node = workerThreads()
  if (node) {
    // No flags of the parent: a loader given by --import would run in every worker.
    const worker = new node.Worker(source, { eval: true, workerData, execArgv: [], name: 'convnets' })
    worker.unref()
    // Without a listener an error would end the process.
    worker.on('error', onLoss)
    worker.on('exit', onLoss)
    return worker
  }
  scriptUrl ??= URL.createObjectURL(new Blob([source], { type: 'text/javascript' }))
  const worker = new Worker(scriptUrl, { name: 'convnets' })
  worker.onerror = onLoss
  worker.postMessage(workerData)
  return worker
}
