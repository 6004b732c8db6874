/**
 * Convolution of x (batch, inHeight, inWidth, inChannels) with weight (outChannels, kernelHeight, kernelWidth,
 * inChannels / groups). One equation says it all: output cell (oy, ox) and kernel cell (ky, kx) meet at input cell
 *
 *   iy = oy * strideHeight - padTop + ky * dilationHeight,   ix likewise,
 *
 * where that lies inside the input; the three functions sum the product of two of (x, weight, g) over all that meet at
 * one element of the third.
 */
import type { TypedArray } from '../../dtype.ts'
import type { ConvSpec } from '../backend.ts'

/** out (batch, outHeight, outWidth, outChannels) = x * weight + bias. */
export function convForward(
  x: TypedArray,
  weight: TypedArray,
  bias: TypedArray | null,
  spec: ConvSpec,
  out: TypedArray,
): void {
  const { inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, kernelHeight, kernelWidth } = spec
  const groupIn = inChannels / spec.groups
  const groupOut = outChannels / spec.groups
  let at = 0
  for (let n = 0; n < spec.batch; n++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        for (let oc = 0; oc < outChannels; oc++) {
          const firstIn = Math.floor(oc / groupOut) * groupIn
          let sum = bias === null ? 0 : bias[oc]!
          for (let ky = 0; ky < kernelHeight; ky++) {
            const iy = oy * spec.strideHeight - spec.padTop + ky * spec.dilationHeight
            if (iy < 0 || iy >= inHeight) continue
            for (let kx = 0; kx < kernelWidth; kx++) {
              const ix = ox * spec.strideWidth - spec.padLeft + kx * spec.dilationWidth
              if (ix < 0 || ix >= inWidth) continue
              const xAt = ((n * inHeight + iy) * inWidth + ix) * inChannels + firstIn
              const wAt = ((oc * kernelHeight + ky) * kernelWidth + kx) * groupIn
              for (let ic = 0; ic < groupIn; ic++) sum += x[xAt + ic]! * weight[wAt + ic]!
            }
          }
          out[at++] = sum
        }
      }
    }
  }
}

/** out (batch, inHeight, inWidth, inChannels): the gradient by x, given the gradient g of the output. */
export function convInputGrad(g: TypedArray, weight: TypedArray, spec: ConvSpec, out: TypedArray): void {
  const { inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, kernelHeight, kernelWidth } = spec
  const groupIn = inChannels / spec.groups
  const groupOut = outChannels / spec.groups
  let at = 0
  for (let n = 0; n < spec.batch; n++) {
    for (let iy = 0; iy < inHeight; iy++) {
      for (let ix = 0; ix < inWidth; ix++) {
        for (let ic = 0; ic < inChannels; ic++) {
          const firstOut = Math.floor(ic / groupIn) * groupOut
          let sum = 0
          for (let ky = 0; ky < kernelHeight; ky++) {
            const oy = (iy + spec.padTop - ky * spec.dilationHeight) / spec.strideHeight
            if (!Number.isInteger(oy) || oy < 0 || oy >= outHeight) continue
            for (let kx = 0; kx < kernelWidth; kx++) {
              const ox = (ix + spec.padLeft - kx * spec.dilationWidth) / spec.strideWidth
              if (!Number.isInteger(ox) || ox < 0 || ox >= outWidth) continue
              const gAt = ((n * outHeight + oy) * outWidth + ox) * outChannels
              for (let oc = firstOut; oc < firstOut + groupOut; oc++) {
                sum += g[gAt + oc]! * weight[((oc * kernelHeight + ky) * kernelWidth + kx) * groupIn + (ic % groupIn)]!
              }
            }
          }
          out[at++] = sum
        }
      }
    }
  }
}

/** out (outChannels, kernelHeight, kernelWidth, inChannels / groups): the gradient by the weight. */
export function convWeightGrad(x: TypedArray, g: TypedArray, spec: ConvSpec, out: TypedArray): void {
  const { inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, kernelHeight, kernelWidth } = spec
  const groupIn = inChannels / spec.groups
  const groupOut = outChannels / spec.groups
  let at = 0
  for (let oc = 0; oc < outChannels; oc++) {
    const firstIn = Math.floor(oc / groupOut) * groupIn
    for (let ky = 0; ky < kernelHeight; ky++) {
      for (let kx = 0; kx < kernelWidth; kx++) {
        for (let ic = firstIn; ic < firstIn + groupIn; ic++) {
          let sum = 0
          for (let n = 0; n < spec.batch; n++) {
            for (let oy = 0; oy < outHeight; oy++) {
              const iy = oy * spec.strideHeight - spec.padTop + ky * spec.dilationHeight
              if (iy < 0 || iy >= inHeight) continue
              for (let ox = 0; ox < outWidth; ox++) {
                const ix = ox * spec.strideWidth - spec.padLeft + kx * spec.dilationWidth
                if (ix < 0 || ix >= inWidth) continue
                const xAt = ((n * inHeight + iy) * inWidth + ix) * inChannels
                sum += x[xAt + ic]! * g[((n * outHeight + oy) * outWidth + ox) * outChannels + oc]!
              }
            }
          }
          out[at++] = sum
        }
      }
    }
  }
}
