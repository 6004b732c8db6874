/** A WebAssembly assembler, for kernels of one's own outside of tensors. */
export {
  type FunctionBuilder,
  i8x16,
  i16x8,
  i32,
  i32x4,
  ints,
  type Local,
  ModuleBuilder,
  type Operand,
  type Value,
  v128,
} from './backends/wasm/asm.ts'
