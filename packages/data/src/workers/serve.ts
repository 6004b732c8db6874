/** What a worker thread does: it makes samples, and puts their pixels into memory that it shares with the program. */
import { Generator } from '@convnets/tensor'
import { packError } from '@convnets/tensor/worker'
import type { Sample } from '../dataset.ts'
import { makeSamples, type SampleParts } from '../samples.ts'
import { unit } from '../transforms.ts'
import type { Answer, Job, Made, Placed } from './protocol.ts'

/** The worker's end of its line to the program. */
export interface Port {
  postMessage(answer: Answer): void
  on(event: 'message', listener: (job: Job) => void): unknown
}

/** Pixels begin at multiples of this many bytes, for whatever type they are. */
const ALIGNMENT = 8

/** The samples in one piece of shared memory: `memory` if it is large enough. */
function lay<Label>(samples: readonly Sample<Label>[], { floats, memory }: Job): Made {
  const placed: Placed[] = []
  let bytes = 0
  for (const { image, ...sample } of samples) {
    const { height, width, channels, data } = image
    const isFloat = floats || data instanceof Float32Array
    // A batch of floats lies without gaps: it is a tensor's contents as it is.
    const at = isFloat ? bytes : Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
    placed.push({ sample, height, width, channels, floats: isFloat, at: Math.ceil(at / 4) * 4 })
    bytes = placed.at(-1)!.at + data.length * (isFloat ? 4 : 1)
  }
  const target = memory && memory.byteLength >= bytes ? memory : new SharedArrayBuffer(Math.max(bytes, 1))
  for (const [i, { image }] of samples.entries()) {
    const { data } = image
    const { at, floats: isFloat } = placed[i]!
    if (!isFloat) new Uint8Array(target, at, data.length).set(data)
    else {
      const pixels = new Float32Array(target, at, data.length)
      if (data instanceof Float32Array) pixels.set(data)
      else for (let p = 0; p < data.length; p++) pixels[p] = unit[data[p]!]!
    }
  }
  return { memory: target, samples: placed }
}

/** Makes the batches that `port` asks for, one after the other. */
export function serveSamples<Label>(parts: SampleParts<Label>, port: Port): void {
  let line: Promise<void> = Promise.resolve()
  const work = async (job: Job): Promise<void> => {
    const { id } = job
    try {
      const samples = await makeSamples(parts, new Generator(job.seed), job)
      port.postMessage({ kind: 'made', id, made: lay(samples, job) })
    } catch (error) {
      port.postMessage({ kind: 'failed', id, error: packError(error) })
    }
  }
  port.on('message', (job) => {
    line = line.then(() => work(job))
  })
  port.postMessage({ kind: 'ready', length: parts.dataset.length })
}
