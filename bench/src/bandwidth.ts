/** What memory can do: plain copies on as many threads as compute. */
import { Worker } from 'node:worker_threads'
import type { Run } from './contestants/contestant.ts'

// Each thread sleeps until the round changes, copies its part, and counts itself done.
const source = `
  const { workerData: { gate, source, target } } = require('node:worker_threads')
  for (let round = 0; ; round++) {
    Atomics.wait(gate, 0, round)
    target.set(source)
    Atomics.add(gate, 1, 1)
    Atomics.notify(gate, 1)
  }`

/** Copies `bytes` bytes, in equal parts, on `threads` threads at once, the calling one included. */
export function copier(bytes: number, threads: number): Run {
  const length = Math.ceil(bytes / 8 / threads)
  const part = (): Float64Array => new Float64Array(new SharedArrayBuffer(length * 8)).fill(1)
  const gate = new Int32Array(new SharedArrayBuffer(8))
  const workers = Array.from({ length: threads - 1 }, () => {
    const worker = new Worker(source, {
      eval: true,
      execArgv: [],
      workerData: { gate, source: part(), target: part() },
    })
    worker.unref()
    return worker
  })
  const [from, to] = [part(), part()]
  return {
    once() {
      if (workers.length > 0) {
        Atomics.store(gate, 1, 0)
        Atomics.add(gate, 0, 1)
        Atomics.notify(gate, 0)
      }
      to.set(from)
      for (let done = Atomics.load(gate, 1); done < workers.length; done = Atomics.load(gate, 1)) {
        Atomics.wait(gate, 1, done, 1000)
      }
    },
    async dispose() {
      await Promise.all(workers.map((worker) => worker.terminate()))
    },
  }
}
