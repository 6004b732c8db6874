/** What every network for images can do. */
import { type Layer, Linear, type LoadOptions, type LoadReport, Module, StateDictError } from '@convnets/nn'
import { ArgumentError, nearest, readOptions, ShapeError, seeded, Tensor } from '@convnets/tensor'
import { lavish } from './frugal.ts'
import type { ImageOutput } from './heads.ts'

/** One level of a feature pyramid. */
export interface FeatureInfo {
  /** Path of the module whose output it is. */
  readonly name: string
  readonly channels: number
  /** Pixels of the input per cell. */
  readonly stride: number
}

/** Input that a network can take. */
export interface InputRules {
  /** Name of the network, for messages. */
  readonly model: string
  readonly channels: number
  /** Smallest height and width. */
  readonly smallest: number
}

/** Names of the networks whose state dicts were asked for. */
const origins: WeakMap<object, string> = new WeakMap()

/** Notes that a state dict is that of a network, or of the network of another dict. */
export function noteOrigin(dict: ReadonlyMap<string, Tensor>, of: string | ReadonlyMap<string, Tensor>): void {
  const name = typeof of === 'string' ? of : origins.get(of)
  if (name !== undefined) origins.set(dict, name)
}

/** Base class of networks that classify images. `Output` is wider than `Tensor` where training has auxiliary heads. */
export abstract class ImageModel<Output extends ImageOutput = Tensor> extends Module {
  /** Levels of the pyramid that `features` gives by default, largest maps first. */
  abstract readonly featureInfo: readonly FeatureInfo[]

  /** What the network is called, for messages: the name in its `config`, or that of its class. */
  get name(): string {
    const { config } = this as { readonly config?: { readonly name?: unknown } }
    return typeof config?.name === 'string' ? config.name : this.constructor.name
  }

  /** Images (N, C, H, W) to logits (N, numClasses). */
  abstract override forward(x: Tensor): Output

  /** Images (N, C, H, W) to the last feature maps (N, channels, h, w), before they are pooled. */
  abstract forwardFeatures(x: Tensor): Tensor

  /**
   * Replaces the classifier by a fresh one for `numClasses` classes, for training on other data. The former one is freed.
   *
   * @param options `seed` for its numbers; else the default generator.
   */
  abstract resetClassifier(numClasses: number, options?: { readonly seed?: number }): this

  override stateDict(): Map<string, Tensor> {
    const dict = super.stateDict()
    noteOrigin(dict, this.name)
    return dict
  }

  /**
   * As `Module.loadStateDict`.
   *
   * @throws StateDictError that names this network, the one that the dict is of (where a network gave it), and the first key
   * that differs.
   */
  override loadStateDict(dict: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): LoadReport {
    try {
      return super.loadStateDict(dict, options)
    } catch (error) {
      if (!(error instanceof StateDictError)) throw error
      const differing = new Set([...error.missing, ...error.mismatched.map(({ key }) => key)])
      const first = [...this.stateDict().keys()].find((key) => differing.has(key)) ?? error.unexpected[0]
      const origin = origins.get(dict)
      const whose = origin === undefined || origin === this.name ? '' : ` of ${origin}`
      throw new StateDictError(error, `the state dict${whose} does not fit ${this.name}, first ${first}`)
    }
  }

  /**
   * Outputs of the named modules on the way to the last feature maps: what detection and segmentation heads stand on.
   *
   * @param names paths as in `namedModules()`. Default: those of `featureInfo`.
   * @returns the outputs by name, in the order of `names`.
   * @throws ArgumentError for a path that no module has, or that `forwardFeatures` does not come by.
   */
  features(x: Tensor, names: readonly string[] = this.featureInfo.map(({ name }) => name)): Map<string, Tensor> {
    const modules = this.namedModules()
    const wanted = names.map((name) => {
      const module = modules.get(name)
      if (module === undefined || name === '') {
        const near = nearest(name, [...modules.keys()].slice(1)).join(', ')
        throw new ArgumentError(`features: names expects paths of modules, got '${name}'; nearest: ${near}`)
      }
      return { name, module }
    })
    const outputs: Map<Module, unknown> = new Map()
    const removers = wanted.map(({ module }) =>
      module.registerForwardHook((m, _, output) => void outputs.set(m, output)),
    )
    try {
      lavish(() => this.forwardFeatures(x))
    } finally {
      for (const remove of removers) remove()
    }
    return new Map(
      wanted.map(({ name, module }) => {
        const output = outputs.get(module)
        if (!(output instanceof Tensor)) {
          throw new ArgumentError(`features: names expects modules on the way to the last feature maps, got '${name}'`)
        }
        return [name, output]
      }),
    )
  }
}

/** Checks that x is a batch of images that the network can take. */
export function checkImages(x: Tensor, { model, channels, smallest }: InputRules): void {
  const [, got, height = 0, width = 0] = x.shape
  if (x.rank !== 4 || got !== channels || height < smallest || width < smallest) {
    throw new ShapeError(
      `${model}: x expects (N, ${channels}, H, W) with H and W of at least ${smallest}, got (${x.shape.join(', ')})`,
    )
  }
}

/** The layer that `make` makes in place of `former`: on its backend, of its dtype and mode. `former` is freed. */
export function freshLayer<L extends Layer>(former: Layer, make: () => L, options: { readonly seed?: number } = {}): L {
  // These are options of `resetClassifier`, which hands them on.
  const { seed } = readOptions('resetClassifier', options, { seed: undefined })
  const next = seed === undefined ? make() : seeded(seed, make)
  const [weight] = former.parameters()
  next.train(former.training)
  if (weight !== undefined) next.to(weight.backend)
  if (weight?.dtype === 'float64') next.to('float64')
  former.dispose()
  return next
}

/** A linear classifier in place of `former`: on its backend, of its dtype and mode. `former` is freed. */
export function freshClassifier(former: Linear, numClasses: number, options: { readonly seed?: number } = {}): Linear {
  return freshLayer(former, () => new Linear(former.inFeatures, numClasses), options)
}
