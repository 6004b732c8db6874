export { cifar10, cifar10Classes, readCifar10 } from './cifar.ts'
export { type Batch, type Collate, collateImages } from './collate.ts'
export {
  arrayDataset,
  type Dataset,
  ImageDataset,
  type ImageDatasetParts,
  mapDataset,
  type Sample,
  type Split,
  subset,
} from './dataset.ts'
export { DownloadError, type DownloadProgress } from './download.ts'
export type { Epoch } from './epoch.ts'
export type { FileSource } from './host.ts'
export { type IdxArray, loadIdx, readIdx } from './idx.ts'
export { Image, type OpenOptions } from './image.ts'
export { DataLoader, type DataLoaderOptions } from './loader.ts'
export { type FashionMnistOptions, type FolderOptions, fashionMnist, fashionMnistClasses, mnist } from './mnist.ts'
export type { Pixels, Size } from './pixels.ts'
export {
  type DistributedOptions,
  distributedSampler,
  randomSampler,
  type Sampler,
  sequentialSampler,
  stratifiedSampler,
  weightedSampler,
} from './samplers.ts'
export type { SampleParts } from './samples.ts'
export { SampleSource, sampleSource } from './source.ts'
export {
  compose,
  type DeterministicTransform,
  normalize,
  randomCrop,
  randomHorizontalFlip,
  type Transform,
  toFloat,
} from './transforms.ts'
export { WorkerError } from './workers/errors.ts'
