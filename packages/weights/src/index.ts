export { makeFolder } from '@convnets/tensor/host'
export { type Sink, writeFileAtomic } from './atomic.ts'
export type { FileDType } from './dtypes.ts'
export type { WeightEntry, WeightsFile, WeightsFormat } from './entry.ts'
export type { MapKeys } from './layouts/choose.ts'
export { type Layout, layouts } from './layouts/layouts.ts'
export { type LoadOptions, loadWeights, type WithState } from './load.ts'
export type { LocateOptions, WeightSource } from './locate.ts'
export { type Checkpoint, type OpenOptions, openCheckpoint, openWeights, type ParseOptions } from './open.ts'
export type { PickleLimits } from './pickle/limits.ts'
export { type LoadReport, type Mismatch, WeightsMismatchError } from './plan.ts'
export type { CheckpointValue } from './pytorch/checkpoint.ts'
export type { TensorToWrite } from './pytorch/writer.ts'
export { type ReadWeights, type ReadWeightsOptions, readWeights } from './read.ts'
export type { CacheOptions } from './remote/cache.ts'
export { DownloadError } from './remote/error.ts'
export type { RemoteWeights, WeightsTable } from './remote/names.ts'
export type { DownloadProgress, TransferOptions } from './remote/transfer.ts'
export {
  parseSafetensors,
  type SafetensorsEntry,
  type SafetensorsFile,
  serializeSafetensors,
} from './safetensors.ts'
export { type SavedFormat, type SaveOptions, saveWeights, writeWeights } from './save.ts'
export { type ReadOptions, readSafetensors, type StateDict, type WriteOptions, writeSafetensors } from './state.ts'
