/** What `convnets train` can be asked for: data sets, optimizers and schedules as rows of data. */

/** How a run is made. Written to the output folder, so that `--resume` needs nothing else. */
export interface Settings {
  readonly model: string
  readonly data: DataName
  /** Folder of the data set's files, for those that do not come with the program. */
  readonly dataRoot?: string
  readonly epochs: number
  readonly batch: number
  readonly optimizer: OptimizerName
  /** Highest learning rate of the schedule. */
  readonly lr: number
  /** Of sgd and rmsprop. Absent: 0.9, or what the one-cycle schedule makes of it. */
  readonly momentum?: number
  readonly weightDecay: number
  readonly schedule: ScheduleName
  readonly labelSmoothing: number
  readonly seed: number
  /** Only so many pictures of the data set, for training and for testing. */
  readonly limit?: number
}

/** A data set: how pictures are augmented while training and normalised always. */
export interface DataRow {
  readonly about: string
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly flips: boolean
  /** Pixels of black around a picture, from which one of its size is cut out at random. */
  readonly padding: number
  /** Whether the files must be given with `--data-root`. */
  readonly needsRoot: boolean
}

export type DataName = 'fashion-mnist' | 'fashion-mnist-full' | 'mnist' | 'cifar10'

/** Data sets by name. Statistics are those of the training pictures, 0 to 1, per channel. */
export const dataSets: Readonly<Record<DataName, DataRow>> = {
  'fashion-mnist': {
    about: '7,000 pictures of clothes that come with the program',
    mean: [0.286],
    std: [0.353],
    flips: true,
    padding: 0,
    needsRoot: false,
  },
  'fashion-mnist-full': {
    about: 'all 70,000, downloaded once (30 MB) or from --data-root',
    mean: [0.286],
    std: [0.353],
    flips: true,
    padding: 0,
    needsRoot: false,
  },
  mnist: {
    about: 'handwritten digits, from --data-root',
    mean: [0.1307],
    std: [0.3081],
    flips: false,
    padding: 0,
    needsRoot: true,
  },
  cifar10: {
    about: 'small colour photographs, binary version, from --data-root',
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.247, 0.2435, 0.2616],
    flips: true,
    padding: 4,
    needsRoot: true,
  },
}

export type OptimizerName = 'sgd' | 'adam' | 'adamw' | 'rmsprop'

/** Optimizers by name, with rates that suit small networks. */
export const optimizers: Readonly<Record<OptimizerName, { readonly lr: number; readonly weightDecay: number }>> = {
  sgd: { lr: 0.2, weightDecay: 5e-4 },
  adam: { lr: 3e-3, weightDecay: 0 },
  adamw: { lr: 3e-3, weightDecay: 1e-2 },
  rmsprop: { lr: 1e-3, weightDecay: 0 },
}

export type ScheduleName = 'one-cycle' | 'cosine' | 'step' | 'constant'

/** Schedules by name: what they do with the learning rate. */
export const schedules: Readonly<Record<ScheduleName, string>> = {
  'one-cycle': 'up to --lr and down to almost nothing',
  cosine: 'from --lr down to 0 along half a cosine',
  step: 'a tenth of it after half and after three quarters of the epochs',
  constant: '--lr throughout',
}
