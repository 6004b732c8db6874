/** The gpu backend in Node: WebGPU by Dawn on the software adapter that Debian's Chromium brings, and WebAssembly. */
import { readFileSync } from 'node:fs'
import { backendConformance, checkGoldenOp, fill, parseOpGoldens, relativeError } from '@convnets/testkit'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { nodeWebGPU, softwareAdapter } from '../../../scripts/verify/webgpu.ts'
import { Device, type DeviceOptions } from '../src/backends/gpu/device.ts'
import { type GpuBackend, gpu } from '../src/gpu.ts'
import {
  ArgumentError,
  add,
  type Backend,
  BackendError,
  conv2d,
  DeviceLostError,
  f,
  gather,
  grad,
  linear,
  matmul,
  mul,
  OutOfMemoryError,
  reference,
  type Tensor,
  tensor,
  tidy,
  update,
  wasm,
} from '../src/index.ts'

if (!softwareAdapter && !process.env.CI) {
  process.stderr.write('WebGPU is not tested: there is no SwiftShader (Debian: apt-get install chromium).\n')
}

/** Long for a busy machine: most of it is compilation of kernels. */
const patience = 900_000

const filled = (name: string, shape: readonly number[], backend: Backend): Tensor =>
  tensor(fill(name, shape), { shape, dtype: 'float32', backend })

/** So many outputs that a thread computes four of them, where four divides the innermost axis. */
const large: readonly (readonly [
  name: string,
  shapes: readonly (readonly number[])[],
  run: (x: Tensor[]) => Tensor,
])[] = [
  ['3 x 3', [[2, 8, 32, 32], [16, 8, 3, 3], [16]], ([x, w, b]) => conv2d(x as Tensor, w as Tensor, b, { padding: 1 })],
  [
    '1 x 1, 6 channels',
    [
      [4, 8, 32, 32],
      [6, 8, 1, 1],
    ],
    ([x, w]) => conv2d(x as Tensor, w as Tensor),
  ],
  [
    'groups',
    [
      [3, 16, 40, 36],
      [24, 4, 3, 3],
    ],
    ([x, w]) =>
      conv2d(x as Tensor, w as Tensor, undefined, { stride: [1, 2], padding: [2, 1], dilation: 2, groups: 4 }),
  ],
  ['product', [[96, 40], [40, 256], [256]], ([a, b, c]) => add(matmul(a as Tensor, b as Tensor), c as Tensor)],
  ['linear', [[128, 30], [160, 30], [160]], ([x, w, b]) => linear(x as Tensor, w as Tensor, b)],
  [
    'batch of transposed ones',
    [
      [2, 3, 20, 64],
      [2, 3, 20, 48],
    ],
    ([a, b]) => matmul((a as Tensor).transpose(2, 3), b as Tensor),
  ],
]

/** Errors of outputs and gradients of `large` against the wasm backend. */
async function largeErrors(backend: Backend): Promise<Record<string, number>> {
  const errors: Record<string, number> = {}
  for (const [name, shapes, run] of large) {
    const results = (on: Backend): Tensor[] =>
      tidy(() => {
        const inputs = shapes.map((shape, i) => filled(`${name} ${i}`, shape, on))
        for (const x of inputs) x.requiresGrad = true
        const y = run(inputs)
        expect(y.size).toBeGreaterThanOrEqual(2 ** 14)
        const gradients = grad(y, inputs, { gradients: [filled(`${name} g`, y.shape, on)] }) as Tensor[]
        return [y.detach(), ...gradients]
      })
    const expected = results(wasm)
    for (const [i, actual] of results(backend).entries()) {
      errors[`${name} ${i}`] = relativeError(await actual.data(), (expected[i] as Tensor).dataSync())
      actual.dispose()
    }
    for (const one of expected) one.dispose()
  }
  return errors
}

describe.skipIf(!softwareAdapter && !process.env.CI)('gpu on WebGPU', () => {
  let backend: GpuBackend
  beforeAll(async () => {
    backend = await gpu({ mode: 'webgpu', webgpu: await nodeWebGPU({ software: true }) })
  })
  afterAll(() => backend?.destroy())

  it('tells what it runs on', () => {
    const { adapter, bindingBytes, bindings } = backend.info()
    expect(backend.info()).toMatchObject({ mode: 'webgpu', software: true, passedOver: [], fallbacks: [] })
    expect(adapter).toMatch(/SwiftShader/)
    expect(bindingBytes).toBeGreaterThanOrEqual(2 ** 27)
    expect(bindings).toBeGreaterThanOrEqual(8)
  })

  it(
    'conforms to the contract',
    async () => {
      const results = await backendConformance(backend, { largestInteger: 2 ** 24, without: ['float64'] })
      const failed = results.filter(({ passed }) => !passed)
      expect(failed.map(({ op, case: name, error, reason }) => `${op} ${name}: ${reason ?? error}`)).toEqual([])
      expect(results.length).toBeGreaterThan(1500)
    },
    patience,
  )

  it('compiles a kernel once', async () => {
    using x = filled('x', [3, 5], backend)
    using first = mul(x, 0.25)
    await first.data()
    const { kernels } = backend.info()
    using second = mul(first, 0.75)
    await second.data()
    expect(backend.info().kernels).toBe(kernels)
  })

  it('splits what is larger than a binding may be', async () => {
    // 1 KiB: the weight lies in 4 buffers, as VGG-16's first linear layer does in 128 MiB each.
    const small = await gpu({ mode: 'webgpu', bindingBytes: 1024 })
    expect(small.info().bindingBytes).toBe(1024)
    const results = (on: Backend): Tensor[] =>
      tidy(() => {
        const [x, w, b] = [filled('x', [3, 50], on), filled('w', [20, 50], on), filled('b', [20], on)]
        w.requiresGrad = true
        b.requiresGrad = true
        const y = linear(x, w, b)
        const [dw, db] = grad(mul(y, y).sum(), [w, b]) as [Tensor, Tensor]
        // As SGD with momentum: three buffers of four parts each.
        const momentum = filled('m', [20, 50], on)
        const next = f.add(f.mul(f.param(0), f.input(1)), f.input(2))
        update([f.sub(f.input(0), f.mul(f.param(1), next)), next], [w, momentum], [dw], [0.9, 0.1])
        const image = filled('image', [2, 3, 6, 8], on)
        const kernel = filled('kernel', [10, 3, 3, 3], on)
        const convolved = conv2d(image, kernel, undefined, { padding: 1 })
        return [y, dw, db, w.detach(), momentum, convolved, add(convolved, 1), convolved.permute([0, 2, 3, 1])]
      })
    const expected = results(reference)
    for (const [i, actual] of results(small).entries()) {
      const error = relativeError(await actual.data(), await (expected[i] as Tensor).data())
      expect(error, `result ${i}`).toBeLessThan(1e-6)
    }
    const [many, more] = [filled('many', [40, 50], small), filled('more', [50, 40], small)]
    expect(() => many.matmul(more)).toThrow(/^matmul: the kernel expects at most 8 buffers of 1024 bytes, got 17/)
    await small.destroy()
  })

  it('gives the same where one thread computes four outputs, split or not', async () => {
    const small = await gpu({ mode: 'webgpu', bindingBytes: 4 * 20_000 })
    for (const [on, limit] of [
      [backend, Infinity],
      [small, 20_000],
    ] as const) {
      const errors = await largeErrors(on)
      for (const [result, error] of Object.entries(errors)) expect(error, `${result}, ${limit}`).toBeLessThan(2e-6)
      expect(Object.keys(errors).length).toBeGreaterThan(18)
    }
    await small.destroy()
  })

  it('refuses other backends, float64, large integers and indices out of range', () => {
    tidy(() => {
      const [a, b] = [filled('a', [2], backend), filled('b', [2], wasm)]
      expect(() => add(a, b)).toThrow(BackendError)
      expect(() => add(a, b)).toThrow(/^add: inputs lie on different backends, gpu and wasm/)
      expect(() => a.to('float64')).toThrow(/float64, which no GPU kernel computes in/)
      expect(() => tensor([2 ** 24 + 1], { dtype: 'int32', backend })).toThrow(/int32 expects values up to 2\^24/)
      expect(() => gather(a, 0, tensor([0, 2], { dtype: 'int32', backend }))).toThrow(ArgumentError)
      expect(() => a.dataSync()).toThrow(/await x\.data\(\)/)
    })
  })

  it('moves tensors there and back', async () => {
    const { buffers } = backend.memory()
    using here = filled('x', [2, 3, 4, 5], wasm)
    using there = here.to(backend)
    expect(there.backend).toBe(backend)
    expect(await there.data()).toEqual(here.dataSync())
    expect(backend.memory().buffers).toBe(buffers + 1)
    using back = await there.moved(wasm)
    expect(back.dataSync()).toEqual(here.dataSync())
    expect(() => there.to(wasm)).toThrow(/await x\.moved\(/)
  })

  it('is gone when it was destroyed', async () => {
    const other = await gpu({ mode: 'webgpu' })
    using x = filled('x', [4], other)
    await other.destroy()
    expect(other.memory()).toMatchObject({ bytes: 0, buffers: 0 })
    expect(() => add(x, 1)).toThrow(/destroyed/)
    await expect(x.data()).rejects.toThrow(/destroyed/)
  })
})

describe('gpu in WebAssembly', () => {
  it('gives the same where one thread computes four outputs', async () => {
    const backend = await gpu({ mode: 'webasm' })
    const errors = await largeErrors(backend)
    for (const [result, error] of Object.entries(errors)) expect(error, result).toBeLessThan(2e-6)
    await backend.destroy()
  })

  it(
    "gives PyTorch's outputs and gradients",
    async () => {
      const backend = await gpu({ mode: 'webasm' })
      expect(backend.info()).toMatchObject({ mode: 'webasm', software: true, fallbacks: [] })
      const { cases, prefix } = parseOpGoldens(
        readFileSync(new URL('../../../fixtures/goldens/ops.json', import.meta.url), 'utf8'),
      )
      const failed: string[] = []
      for (const golden of cases) {
        const result = await checkGoldenOp(golden, { backend, prefix })
        if (!result.passed) failed.push(`${result.id}: ${result.output}, ${[...result.gradients]}`)
      }
      expect(failed).toEqual([])
      expect(backend.memory()).toMatchObject({ bytes: 0, buffers: 0 })
      await backend.destroy()
    },
    patience,
  )
})

describe('gpu', () => {
  it('says why a mode is not there', async () => {
    await expect(gpu({ mode: 'webgl2' })).rejects.toThrow(BackendError)
    await expect(gpu({ mode: 'webgl2' })).rejects.toThrow(
      /^gpu: mode webgl2 does not run here: webgl2: there is no WebGL 2 context/,
    )
    await expect(gpu({ mode: 'webgl3' as 'webgl2' })).rejects.toThrow(
      /^gpu: mode expects auto, webgpu, webgl2, webasm, got/,
    )
    await expect(gpu({ bindingBytes: 3 })).rejects.toThrow(ArgumentError)
    await expect(gpu('webgpu' as never)).rejects.toThrow(/^gpu: options expects an object, got webgpu$/)
    await expect(gpu({ modus: 'webgpu' } as never)).rejects.toThrow(/^gpu: options expects one of mode, .*, got modus/)
    const { navigator } = globalThis as { navigator?: { gpu?: object } }
    const before = navigator?.gpu
    await expect(gpu({ webgpu: {} })).rejects.toThrow(
      /^gpu: webgpu expects create\(\[\]\) of the package webgpu, or another object with requestAdapter, got one without$/,
    )
    expect((globalThis as { navigator?: { gpu?: object } }).navigator?.gpu).toBe(before)
  })

  interface Fake extends Partial<DeviceOptions> {
    /** What every kernel does. */
    readonly run: (...args: never[]) => unknown
    /** What kernels say that they ran on. */
    readonly ran?: string
    /** Told of every kernel that is made (1) and destroyed (-1). */
    readonly count?: (change: number) => void
  }

  function fakeDevice({ run, ran = 'webasm', count = () => {}, ...options }: Fake): Device {
    const createKernel = () => {
      count(1)
      return Object.assign(async (...args: never[]) => run(...args), {
        setOutput: () => undefined,
        destroy: () => count(-1),
        kernel: { constructor: { mode: ran }, fallbackReason: 'no such instruction' },
      })
    }
    const instance = { createKernel, addFunction: () => undefined, destroy: async () => undefined }
    return new Device({ GPU: class {} as never, input: (value) => value }, instance as never, {
      mode: 'webasm',
      bindingBytes: 1024,
      bindings: 8,
      allowFallback: false,
      ...options,
    })
  }

  const seven = (on: Device, element = '7') => on.make('float32', 1, { op: 'relu', inputs: [], element: () => element })

  it('forgets kernels in WebAssembly where their memories run out, and fails where that does not help', async () => {
    let alive = 0
    const room = (most: number) =>
      fakeDevice({
        count: (change) => {
          alive += change
        },
        run: () => {
          if (alive > most) throw new Error('WebAssembly.Memory(): could not allocate memory')
          return Float32Array.of(7)
        },
      })
    const four = room(4)
    for (const element of ['1', '2', '3', '4', '5', '1', '2', '3']) {
      expect([...(await four.read(seven(four, element)))]).toEqual([7])
      expect(alive).toBeLessThanOrEqual(4)
      expect(four.compiled).toBe(alive)
    }
    await four.destroy()
    expect(alive).toBe(0)
    const none = room(0)
    await expect(none.read(seven(none))).rejects.toThrow(OutOfMemoryError)
  })

  function upload(device: Device, ...numbers: number[]) {
    const buffer = device.alloc('float32', numbers.length)
    device.upload(buffer, Float32Array.from(numbers))
    return buffer
  }

  it('tells of an upload that failed when it is asked whether all has arrived', async () => {
    let calls = 0
    const device = fakeDevice({
      run: (input: Float32Array) => {
        if (++calls === 2) throw new Error('could not allocate memory')
        return input
      },
    })
    const all = [upload(device, 1), upload(device, 2, 3), upload(device), upload(device, 4, 5)]
    await expect(device.arrived(all)).rejects.toThrow(OutOfMemoryError)
    await expect(device.arrived(all.filter((_, i) => i !== 1))).resolves.toBeUndefined()
  })

  it('gives nothing that it read from a device which is gone, nor blames a kernel for that', async () => {
    let reason: string | undefined
    const ending = { now: () => reason, soon: async () => reason }
    const zeros = fakeDevice({ run: (input: Float32Array) => input, ending })
    const x = upload(zeros, 1)
    expect([...(await zeros.read(x))]).toEqual([1])
    const failing = fakeDevice({
      run: () => {
        throw new Error('no program')
      },
      ending,
    })
    await expect(failing.read(upload(failing, 1))).rejects.toThrow(/^upload: the gpu kernel failed: no program/)
    reason = 'unplugged'
    await expect(zeros.read(x)).rejects.toThrow(DeviceLostError)
    expect(() => upload(zeros, 2)).toThrow(/^gpu: the device was lost \(unplugged\)/)
    await expect(failing.read(upload(failing, 1))).rejects.toThrow(DeviceLostError)
  })

  it('takes no kernel of the CPU for one of the mode, unless that is allowed', async () => {
    const run = () => Float32Array.of(7)
    const strict = fakeDevice({ run, ran: 'cpu' })
    const lenient = fakeDevice({ run, ran: 'cpu', allowFallback: true })
    await expect(strict.read(seven(strict))).rejects.toThrow(
      /^relu: the kernel does not run in mode webasm, gpu\.js fell back to cpu: no such instruction/,
    )
    expect([...(await lenient.read(seven(lenient)))]).toEqual([7])
    expect(lenient.fallbacks).toEqual([{ op: 'relu', reason: 'cpu: no such instruction' }])
  })
})
