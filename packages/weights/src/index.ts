export { type WeightSource, writeFileAtomic } from './files.ts'
export { type Loadable, type LoadOptions, loadWeights, type Saveable, saveWeights } from './load.ts'
export {
  type FileDType,
  parseSafetensors,
  type SafetensorsEntry,
  type SafetensorsFile,
  serializeSafetensors,
} from './safetensors.ts'
export { type ReadOptions, readSafetensors, type StateDict, type WriteOptions, writeSafetensors } from './state.ts'
