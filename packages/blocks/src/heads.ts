/** What networks with auxiliary classifiers give in training, and the loss over all their heads. */
import type { LoadOptions, LoadReport } from '@convnets/nn'
import { ArgumentError, checkNumber, readOptions, Tensor } from '@convnets/tensor'
import { ImageModel, noteOrigin } from './model.ts'

/**
 * Logits of all heads, which networks with auxiliary classifiers give in training mode. In evaluation mode they give the
 * main logits alone, as every other network does.
 */
export interface AuxOutput {
  /** Main head: (N, numClasses). */
  readonly logits: Tensor
  /** Auxiliary heads, the one nearest to the input first: (N, numClasses) each. */
  readonly aux: readonly Tensor[]
  /** Weight of each auxiliary head's loss in the paper. */
  readonly auxWeight: number
}

/** What a network for images gives. */
export type ImageOutput = Tensor | AuxOutput

/** The main logits (N, numClasses), whatever the mode of the network. */
export function mainLogits(output: ImageOutput): Tensor {
  return output instanceof Tensor ? output : output.logits
}

export interface HeadLossOptions {
  /** Weight of each auxiliary head's loss. Default: the paper's, which comes with the output (GoogLeNet 0.3, Inception v3 0.4). */
  readonly auxWeight?: number
}

/**
 * The loss of the main head plus `auxWeight` times that of each auxiliary head. Networks without such heads, and all in
 * evaluation mode, give the main loss alone, so that one line serves them all:
 *
 * ```ts
 * const loss = headLoss(model.forward(x), (logits) => crossEntropy(logits, target, { labelSmoothing: 0.1 }))
 * ```
 *
 * Szegedy et al. 2015, section 5 (0.3); TensorFlow's recipe for Inception v3 (0.4).
 */
export function headLoss(output: ImageOutput, loss: (logits: Tensor) => Tensor, options: HeadLossOptions = {}): Tensor {
  const { auxWeight } = readOptions('headLoss', options, { auxWeight: undefined })
  if (typeof loss !== 'function') throw new ArgumentError(`headLoss: loss expects a function, got ${typeof loss}`)
  if (output instanceof Tensor) return loss(output)
  const weight = checkNumber('headLoss', 'auxWeight', auxWeight ?? output.auxWeight, 0)
  return output.aux.reduce((sum, logits) => sum.add(loss(logits).mul(weight)), loss(output.logits))
}

/** Base class of networks with auxiliary classifiers. */
export abstract class AuxImageModel extends ImageModel<ImageOutput> {
  /** Fields that hold auxiliary heads, whether this network was built with them or not. */
  abstract readonly auxHeads: readonly string[]

  /** Weight of each auxiliary head's loss in the paper. */
  abstract readonly auxWeight: number

  /** In training mode with auxiliary heads all logits, else the main logits (N, numClasses). */
  abstract override forward(x: Tensor): ImageOutput

  /** Output of a forward pass: `aux` is empty in evaluation mode and without heads. */
  protected output(logits: Tensor, aux: readonly Tensor[]): ImageOutput {
    return aux.length === 0 ? logits : { logits, aux, auxWeight: this.auxWeight }
  }

  /**
   * As `Module.loadStateDict`, but auxiliary heads may be absent on either side, under `strict` too: heads that the dict
   * lacks keep their values and are reported as missing, and heads that this network was built without are left out and
   * reported as unexpected.
   */
  override loadStateDict(dict: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): LoadReport {
    if (!(dict instanceof Map)) return super.loadStateDict(dict, options)
    const own = this.stateDict()
    const under = (keys: Iterable<string>, head: string): string[] =>
      [...keys].filter((key) => key.startsWith(`${head}.`))
    const absent = (keys: ReadonlyMap<string, unknown>): string[] =>
      this.auxHeads.filter((head) => under(keys.keys(), head).length === 0)
    const surplus = absent(own).flatMap((head) => under(dict.keys(), head))
    const lacking = absent(dict).flatMap((head) => under(own.keys(), head))
    const fitted = new Map([...dict].filter(([key]) => !surplus.includes(key)))
    for (const key of lacking) fitted.set(key, own.get(key) as Tensor)
    noteOrigin(fitted, dict)
    const report = super.loadStateDict(fitted, options)
    const named = lacking.filter((key) => !key.endsWith('.num_batches_tracked'))
    return {
      missing: [...own.keys()].filter((key) => report.missing.includes(key) || named.includes(key)),
      unexpected: [...dict.keys()].filter((key) => report.unexpected.includes(key) || surplus.includes(key)),
      mismatched: report.mismatched,
    }
  }
}
