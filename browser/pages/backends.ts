/** Backends by the names that pages take. */
import { type Backend, wasm } from '@convnets/tensor'
import { type GpuBackend, type GpuMode, gpu } from '@convnets/tensor/gpu'
import { threadInfo } from '@convnets/tensor/worker'

const modes: readonly string[] = ['webgpu', 'webgl2', 'webasm'] satisfies GpuMode[]
const isGpu = (name: string): name is GpuMode => modes.includes(name)

const devices: Map<string, Promise<GpuBackend>> = new Map()

function device(mode: GpuMode): Promise<GpuBackend> {
  const made = devices.get(mode) ?? gpu({ mode })
  devices.set(mode, made)
  return made
}

/** The backend of a name, which is what it says or an error. */
export async function backendNamed(name: string): Promise<Backend> {
  if (name === 'wasm') return wasm
  if (!isGpu(name)) throw new Error(`backend expects wasm, ${modes.join(', ')}, got ${name}`)
  const backend = await device(name)
  const { mode } = backend.info()
  if (mode !== name) throw new Error(`${name} was asked for, ${mode} runs`)
  return backend
}

/** What runs under a name, in words. */
export async function describeBackend(name: string): Promise<string> {
  if (!isGpu(name)) {
    const { threads, reason } = threadInfo()
    return `${name}, ${threads} thread${threads === 1 ? '' : 's'}${reason === undefined ? '' : ` (${reason})`}`
  }
  const { mode, adapter, software } = (await device(name)).info()
  return `${mode} on ${adapter}${software ? ' (software)' : ''}`
}
