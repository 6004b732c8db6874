/** The filters that pictures are resampled by, as Pillow defines them. */

/** How the pixels between pixels are made. All but `nearest` average over what a target pixel covers when shrinking. */
export type Interpolation = 'nearest' | 'box' | 'bilinear' | 'hamming' | 'bicubic' | 'lanczos'

interface Filter {
  /** Pixels from the middle to where the filter ends. */
  readonly support: number
  readonly weight: (distance: number) => number
}

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI))

/** Pillow writes Hamming's constants in single precision. */
const hammingBase = Math.fround(0.54)
const hammingSwing = Math.fround(0.46)

/** Weight by distance from the middle. The sign counts for `box` and `lanczos` alone, whose ends are half open. */
export const filters: Readonly<Record<Exclude<Interpolation, 'nearest'>, Filter>> = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: {
    support: 1,
    weight: (x) => {
      const distance = Math.abs(x)
      return distance < 1 ? 1 - distance : 0
    },
  },
  hamming: {
    support: 1,
    weight: (x) => {
      const distance = Math.abs(x)
      if (distance === 0) return 1
      if (distance >= 1) return 0
      const angle = distance * Math.PI
      return (Math.sin(angle) / angle) * (hammingBase + hammingSwing * Math.cos(angle))
    },
  },
  // Keys' cubic convolution with a = -0.5.
  bicubic: {
    support: 2,
    weight: (x) => {
      const distance = Math.abs(x)
      if (distance < 1) return (1.5 * distance - 2.5) * distance * distance + 1
      if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * -0.5
      return 0
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
}

/** All names, for messages. */
export const interpolations: readonly Interpolation[] = ['nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos']
