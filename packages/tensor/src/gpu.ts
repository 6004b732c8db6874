/** The gpu backend, which needs gpu.js beside it. */
export { type GpuBackend, type GpuInfo, type GpuOptions, gpu } from './backends/gpu/gpu.ts'
export type { GpuMode } from './backends/gpu/library.ts'
