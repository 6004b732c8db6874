/** Backends without numbers: shapes, and the memory that the wasm backend would take. */
export { createShapeOnly, shapeOnly } from './backends/shape-only/shape-only.ts'
export { createWasmPlan, type WasmPlanOptions } from './backends/shape-only/wasm-plan.ts'
