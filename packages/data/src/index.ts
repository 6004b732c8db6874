export { type Cifar100Labels, cifar10, cifar100, readCifar10, readCifar100 } from './cifar.ts'
export { cifar10Classes, cifar100CoarseClasses, cifar100FineClasses } from './cifar-classes.ts'
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
export { type DownloadOptions, download, type Expected } from './download.ts'
export { DownloadError } from './download-error.ts'
export type { Epoch } from './epoch.ts'
export type { FileSource } from './file-source.ts'
export { generatorDataset } from './generator-dataset.ts'
export { type IdxArray, loadIdx, readIdx } from './idx.ts'
export type { Drawable, RawImage } from './image/drawable.ts'
export { Image, type OpenOptions } from './image.ts'
export { type BrokenFile, ImageFolder, type ImageFolderOptions, imageFolder } from './image-folder.ts'
export { DataLoader, type DataLoaderOptions } from './loader.ts'
export { type BatchTransform, cutMix, type MixOptions, mixUp, oneOf } from './mix.ts'
export { type FashionMnistOptions, type FolderOptions, fashionMnist, fashionMnistClasses, mnist } from './mnist.ts'
export type { Pixels, Size } from './pixels.ts'
export type { DownloadProgress } from './remote-files.ts'
export type { Interpolation } from './resize/filters.ts'
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
export type { Fill, Range } from './transforms/arguments.ts'
export {
  type AugMixOptions,
  type AutoAugmentOptions,
  augMix,
  autoAugment,
  type RandAugmentOptions,
  randAugment,
  trivialAugmentWide,
} from './transforms/auto-augment.ts'
export { adjustSharpness, gaussianBlur, randomGaussianBlur } from './transforms/blur.ts'
export {
  adjustBrightness,
  adjustContrast,
  adjustHue,
  adjustSaturation,
  type ColorJitterOptions,
  colorJitter,
  grayscale,
  randomGrayscale,
  toChannels,
} from './transforms/color.ts'
export {
  type Box,
  centerCrop,
  crop,
  fiveCrop,
  type Padding,
  type PaddingMode,
  type PadOptions,
  pad,
  type RandomCropOptions,
  randomCrop,
} from './transforms/crop.ts'
export { erase, type RandomErasingOptions, randomErasing } from './transforms/erase.ts'
export { type EvalPreprocessing, evalTransform, swapRedBlue } from './transforms/evaluation.ts'
export { horizontalFlip, randomHorizontalFlip, randomVerticalFlip, verticalFlip } from './transforms/flip.ts'
export { normalize, toBytes, toFloat, toTensor } from './transforms/normalize.ts'
export {
  type ChanceOptions,
  randomAdjustSharpness,
  randomApply,
  randomAutocontrast,
  randomChoice,
  randomEqualize,
  randomInvert,
  randomOrder,
  randomPosterize,
  randomSolarize,
} from './transforms/random.ts'
export {
  type RandomAffineOptions,
  type RandomPerspectiveOptions,
  randomAffine,
  randomPerspective,
  randomRotation,
} from './transforms/random-warp.ts'
export {
  type RandomResizedCropOptions,
  type ResizeOptions,
  randomResizedCrop,
  resize,
  resizedCrop,
} from './transforms/resize.ts'
export type { PointInterpolation } from './transforms/sample.ts'
export { autocontrast, equalize, invert, posterize, solarize } from './transforms/tone.ts'
export {
  type AffineOptions,
  affine,
  type Corners,
  type Point,
  perspective,
  type RotateOptions,
  rotate,
  type WarpOptions,
} from './transforms/warp.ts'
export { compose, type DeterministicTransform, type Transform } from './transforms.ts'
export { WorkerError } from './workers/errors.ts'
