/**
 * The memory of a device and what happens to it, in the order in which it was issued. Issuing is synchronous and only notes what
 * is to be done; a queue then compiles and submits one kernel after the other, without waiting for the device between them.
 */
import { type DType, dtypes, type TypedArray, zeroArray } from '../../dtype.ts'
import { BackendError, DeviceLostError, DisposedError } from '../../errors.ts'
import type { Buffer, Matrices } from '../backend.ts'
import { bring } from '../matrices.ts'
import { checkIntegers, failureOf, faultError, lostError } from './failures.ts'
import { functions } from './functions.ts'
import { contents, type GpuMode, type Handle, type Instance, type Library, release } from './library.ts'
import { type Fallback, type Program, Programs } from './programs.ts'
import { Queue } from './queue.ts'
import { type Layout, Source } from './source.ts'
import { GpuBuffer } from './storage.ts'

/** One kernel over one output. */
export interface Launch {
  /** Name of the op, for messages. */
  readonly op: string
  readonly out: GpuBuffer
  readonly inputs: readonly GpuBuffer[]
  /** Small arrays of numbers from the host. */
  readonly tables?: readonly Float32Array[]
  /**
   * Whether element i reads only element i of inputs that are as long as the output, and fixed elements of short ones:
   * then parts of split buffers are worked off one by one.
   */
  readonly aligned?: boolean
  /** Outputs of one thread, which lie side by side: 4 need a length that 4 divides. Default 1. */
  readonly cells?: 1 | 4
  /** Writes statements and gives the expression of element i of the output, or those of the `cells` elements from i on. */
  readonly element: (s: Source) => string | readonly string[]
}

interface Prepared {
  readonly launch: Launch
  readonly text: string
  readonly floats: readonly number[]
  /** How many buffers each input is given by. */
  readonly parts: readonly number[]
}

/** How the end of a device shows. */
export interface Ending {
  /** Why the device is gone, as far as is known now; undefined if it is there. */
  now(): string | undefined
  /** The same for after a failure, in time for what is on its way. */
  soon(): Promise<string | undefined>
}

export interface DeviceOptions {
  readonly mode: GpuMode
  /** Bytes that one buffer may have. */
  readonly bindingBytes: number
  /** Buffers that one kernel may use, output included. */
  readonly bindings: number
  /** Whether kernels may run on the CPU where gpu.js cannot run them in the mode. */
  readonly allowFallback: boolean
  /** Tells of the end of the device. Default: it has none. */
  readonly ending?: Ending
}

/** Uploads from here on leave no copy in the kernel that made them. */
const largeUpload = 1 << 20
/** Integers kept on the host for checks. */
const hostIntegers = 1 << 20

export class Device {
  readonly mode: GpuMode
  readonly partLength: number
  readonly #library: Library
  readonly #instance: Instance
  readonly #bindings: number
  readonly #programs: Programs
  readonly #queue: Queue = new Queue((error) => void this.#note(error))
  readonly #ending: Ending | undefined
  readonly #live = new Set<GpuBuffer>()
  /** Buffers that the running kernel of the contract has made. */
  #made: GpuBuffer[] = []
  #failure: BackendError | undefined
  #destroyed = false
  bytes = 0
  peakBytes = 0

  constructor(library: Library, instance: Instance, options: DeviceOptions) {
    const { mode, bindingBytes, bindings, allowFallback, ending } = options
    this.mode = mode
    this.#library = library
    this.#instance = instance
    this.#bindings = bindings
    this.#programs = new Programs(instance, mode, allowFallback, (op, cause) => this.#failed(op, cause))
    this.#ending = ending
    this.partLength = 4 * Math.floor(bindingBytes / 16)
    for (const { source, types, result } of functions) {
      instance.addFunction(source, { argumentTypes: types, returnType: result })
    }
  }

  /** Compiled kernels. */
  get compiled(): number {
    return this.#programs.size
  }

  get fallbacks(): readonly Fallback[] {
    return this.#programs.fallbacks
  }

  get buffers(): number {
    return this.#live.size
  }

  /** The buffer as one of this backend's, alive. */
  own(buffer: Buffer): GpuBuffer {
    if (!(buffer instanceof GpuBuffer)) {
      throw new BackendError('gpu: buffer expects one made by this backend, got that of another')
    }
    if (!this.#live.has(buffer)) {
      this.check()
      throw new DisposedError('gpu: buffer expects a live one, got a freed one')
    }
    return buffer
  }

  /** A buffer that is to be written by a launch. */
  alloc(dtype: DType, length: number): GpuBuffer {
    this.check()
    if (dtype === 'float64') {
      throw new BackendError(
        'gpu: dtype expects float32, int32, uint8 or bool, got float64, which no GPU kernel computes in',
      )
    }
    const buffer = new GpuBuffer(dtype, length)
    this.bytes += buffer.bytes
    this.peakBytes = Math.max(this.peakBytes, this.bytes)
    this.#live.add(buffer)
    this.#made.push(buffer)
    return buffer
  }

  free(buffer: Buffer): void {
    // With the backend everything was freed.
    if (this.#destroyed) return
    const own = this.own(buffer)
    this.#live.delete(own)
    this.bytes -= own.bytes
    this.#queue.add(() => settle(own, []))
  }

  /** `kernel` of the contract; if it throws, what it has made is freed. */
  guard<A extends readonly unknown[], R>(kernel: (...args: A) => R): (...args: A) => R {
    return (...args) => {
      this.#made = []
      try {
        return kernel(...args)
      } catch (error) {
        for (const buffer of this.#made) if (this.#live.has(buffer)) this.free(buffer)
        throw error
      } finally {
        this.#made = []
      }
    }
  }

  layout(length: number): Layout {
    return { parts: Math.max(1, Math.ceil(length / this.partLength)), partLength: this.partLength }
  }

  /** A new buffer of `length` elements, each given by `element`. */
  make(dtype: DType, length: number, launch: Omit<Launch, 'out'>): GpuBuffer {
    const out = this.alloc(dtype, length)
    this.launch({ ...launch, out })
    return out
  }

  /** Issues kernels that all read what was there before any of them writes; an output that exists is replaced. */
  launch(...launches: Launch[]): void {
    this.check()
    const prepared = launches.filter(({ out }) => out.length > 0).map((one) => this.#prepare(one))
    for (const { out } of launches) out.host = undefined
    this.#queue.add(async () => {
      const results: { out: GpuBuffer; handles: Handle[] }[] = []
      try {
        for (const one of prepared) results.push({ out: one.launch.out, handles: await this.#run(one) })
      } catch (error) {
        for (const { out } of launches) out.error = this.#note(error)
      }
      for (const { out, handles } of results) settle(out, handles)
    })
  }

  #prepare(launch: Launch): Prepared {
    const { op, inputs, tables = [], aligned = false, cells = 1 } = launch
    const layouts = inputs.map(({ length }) => (aligned ? { parts: 1, partLength: length } : this.layout(length)))
    const used = layouts.reduce((n, { parts }) => n + parts, 0) + tables.length + 1
    if (used > this.#bindings) {
      throw new BackendError(
        `${op}: the kernel expects at most ${this.#bindings} buffers of ${this.partLength * 4} bytes, got ${used}`,
      )
    }
    const source = new Source(layouts, tables.length, aligned, cells)
    const result = launch.element(source)
    return { launch, text: source.text(result), floats: source.floats, parts: layouts.map(({ parts }) => parts) }
  }

  async #run({ launch, text, floats, parts }: Prepared): Promise<Handle[]> {
    const { op, inputs, out, tables = [], aligned = false, cells = 1 } = launch
    const broken = inputs.find(({ error }) => error !== undefined)
    if (broken !== undefined) throw broken.error
    const types = [
      ...parts.flatMap((count) => Array.from({ length: count }, () => this.#handleType)),
      ...tables.map(() => 'Input'),
      ...floats.map(() => 'Float'),
      'Integer',
    ]
    const numbers = [...tables.map((table) => this.#library.input(table, [table.length])), ...floats]
    const handles: Handle[] = []
    for (let base = 0; base < out.length; base += this.partLength) {
      const given = inputs.flatMap(({ handles: all }): readonly unknown[] => {
        if (all.length === 0) return [this.#nothing]
        return aligned && all.length > 1 ? [all[base / this.partLength]] : all
      })
      const length = Math.min(this.partLength, out.length - base)
      handles.push(await this.#programs.call(op, { text, types }, [...given, ...numbers, base], length, cells))
    }
    return handles
  }

  get #handleType(): string {
    return this.mode === 'webgpu' ? 'WebGPUBuffer' : this.mode === 'webgl2' ? 'ArrayTexture(1)' : 'Array'
  }

  /** Stands for an input without elements, which no kernel reads. */
  get #nothing(): unknown {
    return this.#library.input(new Float32Array(1), [1])
  }

  /** What failed, or that the device is gone, which shows in many ways before the device tells. */
  async #failed(op: string, cause: unknown): Promise<BackendError> {
    const error = failureOf(op, cause)
    if (error instanceof DeviceLostError || this.#failure !== undefined) return error
    const reason = await this.#ending?.soon()
    return reason === undefined ? error : lostError(reason)
  }

  /** Puts `numbers`, of matrices their transposes, on the device as the contents of `buffer`. */
  upload(buffer: GpuBuffer, numbers: TypedArray, matrices?: Matrices): void {
    this.check()
    const data = matrices === undefined ? numbers : zeroArray(buffer.dtype, numbers.length)
    if (matrices !== undefined) bring(numbers, data, matrices)
    checkIntegers(buffer.dtype, data)
    const values = Float32Array.from(data as ArrayLike<number>)
    buffer.host = buffer.dtype === 'int32' && data.length <= hostIntegers ? Int32Array.from(data) : undefined
    this.#queue.add(async () => {
      const handles: Handle[] = []
      try {
        await put(handles)
        buffer.error = undefined
      } catch (error) {
        buffer.error = this.#note(error)
      }
      settle(buffer, handles)
    })
    const put = async (handles: Handle[]): Promise<void> => {
      for (let from = 0; from < values.length; from += this.partLength) {
        const part = values.subarray(from, from + this.partLength)
        handles.push(
          await this.#programs.call('upload', uploading, [this.#library.input(part, [part.length])], part.length),
        )
        if (part.length >= largeUpload) this.#programs.forget(uploading)
      }
    }
  }

  /** Resolves when all of `buffers` are on the device, and rejects if one of them is not. */
  async arrived(buffers: readonly GpuBuffer[]): Promise<void> {
    // A device works in order, and tells of errors before it answers.
    const [first, ...others] = buffers.filter(({ length }) => length > 0)
    if (first !== undefined) await this.read(others.reduce((a, b) => (b.length < a.length ? b : a), first))
    for (const { error } of buffers) if (error !== undefined) throw error
  }

  /** The contents once all that was issued before is done. */
  read(buffer: GpuBuffer): Promise<TypedArray> {
    this.check()
    return new Promise((resolve, reject) => {
      this.#queue.add(async () => {
        try {
          this.check()
          if (buffer.error !== undefined) throw buffer.error
          // Submitted in order now; the queue goes on while the numbers travel.
          const parts = buffer.handles.map(contents)
          Promise.all(parts).then(
            (arrays) => {
              // A lost device may give zeros, before it has told of its end.
              const reason = this.#ending?.now()
              if (reason !== undefined) this.lost(reason)
              if (this.#failure === undefined) resolve(collect(buffer, arrays))
              else reject(this.#failure)
            },
            async (cause) => {
              const error = await this.#failed('read', cause)
              reject(this.#failure ?? this.#note(error))
            },
          )
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  /** Resolves when everything that was issued has been submitted. */
  async submitted(): Promise<void> {
    await this.#queue.done()
    this.check()
  }

  /** Throws what made the device unusable, if anything has. */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Marks the device as unusable: every later call throws `error`. */
  #fail(error: BackendError): BackendError {
    this.#failure ??= error
    return this.#failure
  }

  /** `error` as one of this library; the loss of the device concerns all. */
  #note(error: unknown): BackendError {
    const own = error instanceof BackendError ? error : failureOf('gpu', error)
    return own instanceof DeviceLostError ? this.#fail(own) : own
  }

  /** The device is gone. */
  lost(reason: string): void {
    this.#fail(lostError(reason))
  }

  /** The device reported an error that belongs to no call; what was computed since cannot be trusted. */
  fault(message: string): void {
    this.#fail(faultError(message))
  }

  async destroy(): Promise<void> {
    this.#fail(new BackendError('gpu: the backend was destroyed; make another with gpu()'))
    await this.#queue.done()
    this.#destroyed = true
    for (const buffer of this.#live) settle(buffer, [])
    this.#live.clear()
    this.bytes = 0
    this.#programs.destroy()
    await this.#instance.destroy()
  }
}

const uploading: Program = { text: 'function (x) { return x[this.thread.x]; }', types: ['Input'] }

/** Makes `handles` the contents of `buffer`. */
function settle(buffer: GpuBuffer, handles: readonly Handle[]): void {
  for (const handle of buffer.handles) release(handle)
  buffer.handles = handles
}

function collect({ dtype, length }: GpuBuffer, parts: readonly Float32Array[]): TypedArray {
  const [first] = parts
  if (dtype === 'float32' && first !== undefined && parts.length === 1 && first.length === length) return first
  const out = new dtypes[dtype].array(length)
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}
