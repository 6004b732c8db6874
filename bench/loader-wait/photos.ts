// What the program and its workers load: the folder of pictures that the measurement has made.
import {
  compose,
  imageFolder,
  normalize,
  randomHorizontalFlip,
  randomResizedCrop,
  type SampleSource,
  sampleSource,
} from '@convnets/data'

const size = Number(process.env.LOADER_WAIT_SIZE ?? 64)

export const train: SampleSource = sampleSource(import.meta.url, 'train', {
  dataset: await imageFolder(process.env.LOADER_WAIT_ROOT ?? 'photos'),
  transform: compose(
    randomResizedCrop(size),
    randomHorizontalFlip(),
    normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
  ),
})
