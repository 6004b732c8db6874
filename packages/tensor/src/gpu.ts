/** The gpu backend, which needs gpu.js beside it. */
export { type GpuBackend, type GpuInfo, type GpuMode, type GpuOptions, gpu } from './backends/gpu/gpu.ts'
