import type { Device, Ending } from './device.ts'
import type { GpuMode, WebGLContext, WebGPUContext } from './library.ts'

/** What is below gpu.js: its name, its limits, and how it tells of its end. */
interface Platform {
  readonly adapter: string
  readonly software: boolean
  readonly bindingBytes: number
  readonly bindings: number
  watch(device: Device): void
  readonly ending: Ending
}

/** Milliseconds in which a device that is gone has told so. */
const patience = 500

const contextLost = 'the context was lost'

/** What kernels of `mode` run on, given the context of one of them. */
export function describe(mode: GpuMode, context: object | null | undefined): Platform {
  switch (mode) {
    case 'webgpu': {
      const { adapter, device: own } = context as WebGPUContext
      const { info = {} } = adapter
      let reason: string | undefined
      const gone = own.lost.then((info) => {
        reason = info.message || String(info.reason)
        return reason
      })
      const words = ['vendor', 'architecture', 'device', 'description'].map((key) => info[key]).filter(Boolean)
      return {
        adapter: words.join(' ') || mode,
        software: info.isFallbackAdapter === true,
        bindingBytes: Math.min(own.limits.maxStorageBufferBindingSize, own.limits.maxBufferSize),
        bindings: own.limits.maxStorageBuffersPerShaderStage,
        ending: {
          now: () => reason,
          soon: () => Promise.race([gone, new Promise<undefined>((later) => setTimeout(later, patience))]),
        },
        watch(device) {
          gone.then((reason) => device.lost(reason))
          // gpu.js prints errors that no call waits for.
          const print = own.onuncapturederror
          own.onuncapturederror = (event) => {
            print?.(event)
            device.fault(event.error.message)
          }
        },
      }
    }
    case 'webgl2': {
      const gl = context as WebGLContext
      const lost = () => (gl.isContextLost() ? contextLost : undefined)
      const names = gl.getExtension('WEBGL_debug_renderer_info')
      const name = names === null ? '' : String(gl.getParameter(names.UNMASKED_RENDERER_WEBGL as number))
      return {
        adapter: name || mode,
        software: false,
        // A texture of float32 numbers. gpu.js keeps a unit for itself.
        bindingBytes: Math.min(2 ** 28, 4 * Number(gl.getParameter(gl.MAX_TEXTURE_SIZE)) ** 2),
        bindings: Number(gl.getParameter(gl.MAX_TEXTURE_IMAGE_UNITS)) - 1,
        ending: { now: lost, soon: async () => lost() },
        watch: (device) => gl.canvas.addEventListener('webglcontextlost', () => device.lost(contextLost)),
      }
    }
    case 'webasm':
      return {
        adapter: 'WebAssembly on the CPU',
        software: true,
        bindingBytes: 2 ** 28,
        bindings: 64,
        watch() {},
        ending: { now: () => undefined, soon: async () => undefined },
      }
  }
}
