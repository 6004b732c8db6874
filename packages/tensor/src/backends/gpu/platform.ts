import type { Device } from './device.ts'
import type { GpuMode, WebGLContext, WebGPUContext } from './library.ts'

/** What is below gpu.js: its name, its limits, and how it tells of its end. */
interface Platform {
  readonly adapter: string
  readonly software: boolean
  readonly bindingBytes: number
  readonly bindings: number
  watch(device: Device): void
}

/** What kernels of `mode` run on, given the context of one of them. */
export function describe(mode: GpuMode, context: object | null | undefined): Platform {
  switch (mode) {
    case 'webgpu': {
      const { adapter, device: own } = context as WebGPUContext
      const { info = {} } = adapter
      const words = ['vendor', 'architecture', 'device', 'description'].map((key) => info[key]).filter(Boolean)
      return {
        adapter: words.join(' ') || mode,
        software: info.isFallbackAdapter === true,
        bindingBytes: Math.min(own.limits.maxStorageBufferBindingSize, own.limits.maxBufferSize),
        bindings: own.limits.maxStorageBuffersPerShaderStage,
        watch(device) {
          own.lost.then(({ message, reason }) => device.lost(message || String(reason)))
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
      const names = gl.getExtension('WEBGL_debug_renderer_info')
      const name = names === null ? '' : String(gl.getParameter(names.UNMASKED_RENDERER_WEBGL as number))
      return {
        adapter: name || mode,
        software: false,
        // A texture of float32 numbers. gpu.js keeps a unit for itself.
        bindingBytes: Math.min(2 ** 28, 4 * Number(gl.getParameter(gl.MAX_TEXTURE_SIZE)) ** 2),
        bindings: Number(gl.getParameter(gl.MAX_TEXTURE_IMAGE_UNITS)) - 1,
        watch: (device) => gl.canvas.addEventListener('webglcontextlost', () => device.lost('the context was lost')),
      }
    }
    case 'webasm':
      return { adapter: 'WebAssembly on the CPU', software: true, bindingBytes: 2 ** 28, bindings: 64, watch() {} }
  }
}
