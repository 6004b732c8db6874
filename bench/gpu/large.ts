/**
 * The largest layers of the zoo on WebGPU in Node: the first linear layers of AlexNet and VGG, whose weights are larger than
 * one buffer may be on many adapters. Run by hand: `node --import tsx bench/gpu/large.ts`, and with `--whole` for the limits
 * that the adapter has instead of WebGPU's standard ones (128 MiB for a binding, 256 MiB for a buffer).
 */
import { loadavg } from 'node:os'
import { type Backend, f, Generator, grad, linear, randn, type Tensor, update, wasm } from '@convnets/tensor'
import { gpu } from '@convnets/tensor/gpu'
import { relativeError } from '@convnets/testkit'
import { nodeWebGPU } from '../../scripts/verify/webgpu.ts'

const layers = [
  ['AlexNet', 9216, 4096],
  ['VGG', 25088, 4096],
] as const

/** Sums of 25088 products, one after the other in float32. */
const tolerance = 1e-5

interface Adapter {
  requestDevice(wish: object): Promise<object>
}

/** WebGPU whose devices have the standard limits, whatever more is asked for: Dawn refuses what goes beyond. */
function standard(webgpu: object): object {
  const own = webgpu as { requestAdapter(): Promise<Adapter | null> }
  return {
    async requestAdapter() {
      const adapter = await own.requestAdapter()
      if (adapter === null) return null
      const requestDevice = adapter.requestDevice.bind(adapter)
      adapter.requestDevice = () => requestDevice({})
      return adapter
    },
  }
}

const say = (text: string): void => void process.stdout.write(`${text}\n`)

const momentum = f.add(f.mul(f.param(0), f.input(1)), f.input(2))
const descend = f.sub(f.input(0), f.mul(f.param(1), momentum))

interface Result {
  readonly values: Readonly<Record<string, ArrayLike<number>>>
  readonly milliseconds: Readonly<Record<string, number>>
}

/** Forward, gradients and a step of SGD with momentum, each until its result has been read. */
async function run(backend: Backend, inputs: number, outputs: number): Promise<Result> {
  const made = (shape: readonly number[], seed: number): Tensor =>
    randn(shape, { generator: new Generator(seed), backend })
  const milliseconds: Record<string, number> = {}
  const values: Record<string, ArrayLike<number>> = {}
  let start = performance.now()
  const lap = (name: string): void => {
    const now = performance.now()
    milliseconds[name] = now - start
    start = now
  }
  using weight = made([outputs, inputs], 2)
  using velocity = made([outputs, inputs], 3)
  using x = made([1, inputs], 1)
  using bias = made([outputs], 4)
  using upstream = made([1, outputs], 5)
  for (const leaf of [x, weight, bias]) leaf.requiresGrad = true
  await upstream.data()
  start = performance.now()
  using y = linear(x, weight, bias)
  values.output = await y.data()
  lap('forward')
  const wanted = ['x', 'weight', 'bias'] as const
  const gradients = grad(y, [x, weight, bias], { gradients: [upstream] }) as Tensor[]
  for (const [i, name] of wanted.entries()) values[`gradient of ${name}`] = (await gradients[i]?.data()) ?? []
  lap('gradients')
  update([descend, momentum], [weight, velocity], [gradients[1] as Tensor], [0.9, 0.1])
  values['weight after a step'] = await weight.data()
  lap('step')
  for (const gradient of gradients) gradient.dispose()
  return { values, milliseconds }
}

const webgpu = await nodeWebGPU({ software: true })
const backend = await gpu({ mode: 'webgpu', webgpu: process.argv.includes('--whole') ? webgpu : standard(webgpu) })
const { adapter, software, bindingBytes } = backend.info()
say(`${adapter}${software ? ' (software)' : ''}, ${bindingBytes / 2 ** 20} MiB for a binding`)
for (const [name, inputs, outputs] of layers) {
  const load = loadavg()[0]?.toFixed(1)
  const expected = await run(wasm, inputs, outputs)
  const actual = await run(backend, inputs, outputs)
  const parts = Math.ceil((inputs * outputs * 4) / bindingBytes)
  say(
    `${name}: ${outputs} x ${inputs}, ${((inputs * outputs * 4) / 1e6).toFixed(0)} MB in ${parts} buffers; load ${load}`,
  )
  for (const [what, values] of Object.entries(expected.values)) {
    const error = relativeError(actual.values[what] as ArrayLike<number>, values)
    say(`  ${what}: relative error ${error.toExponential(1)}`)
    if (!(error < tolerance)) process.exitCode = 1
  }
  for (const [what, gpuTime] of Object.entries(actual.milliseconds)) {
    say(`  ${what}: ${gpuTime.toFixed(0)} ms, wasm ${expected.milliseconds[what]?.toFixed(0)} ms`)
  }
}
await backend.destroy()
