/** The block of ResNeXt as separate branches: forms A and B of the paper, and weights from form to form. */
import { Conv2d, DropPath, type Layer, Module } from '@convnets/nn'
import {
  ArgumentError,
  cat,
  checkInteger,
  checkOptionNames,
  narrow,
  optionNames,
  relu,
  type Tensor,
  tidy,
} from '@convnets/tensor'
import type { Bottleneck, BottleneckOptions } from './bottleneck.ts'
import { batchNorm, makeShortcut, meet, type NormLayer, silence } from './residual.ts'

/** As those of `Bottleneck`; `groups` is the number of branches, and the step is made in the 3x3 convolutions. */
export type BranchedBottleneckOptions = Omit<BottleneckOptions, 'strideIn'>

const branchedOptions = optionNames<BranchedBottleneckOptions>({
  stride: true,
  shortcut: true,
  norm: true,
  attention: true,
  attentionKey: true,
  dropPath: true,
  zeroInit: true,
  outChannels: true,
  groups: true,
  reduced: true,
})

/** One branch, up to the 3x3 convolution. */
interface Path {
  readonly conv1: Conv2d
  readonly bn1: NormLayer
  readonly conv2: Conv2d
  readonly bn2: NormLayer
}

function along(x: Tensor, { conv1, bn1, conv2, bn2 }: Path): Tensor {
  return relu(bn2.forward(conv2.forward(relu(bn1.forward(conv1.forward(x))))))
}

/** What both forms share: everything but how the branches end. */
abstract class BranchedBottleneck extends Module {
  /** Output channels as a multiple of the width, unless said otherwise. */
  static readonly expansion = 4
  readonly inChannels: number
  readonly outChannels: number

  constructor(inChannels: number, width: number, options: BranchedBottleneckOptions) {
    super()
    const block = new.target.name
    checkOptionNames(block, options, branchedOptions)
    const { groups = 1, outChannels } = options
    this.inChannels = checkInteger(block, 'inChannels', inChannels, 1)
    checkInteger(block, 'width', width, 1)
    checkInteger(block, 'groups', groups, 1)
    this.outChannels = checkInteger(block, 'outChannels', outChannels ?? width * BranchedBottleneck.expansion, 1)
    if (width % groups !== 0) {
      throw new ArgumentError(`${block}: groups expects a divisor of width ${width}, got ${groups}`)
    }
  }

  /** `make` for every branch, with its convolutions. */
  protected makePaths<P extends Path>(
    width: number,
    { groups = 1, stride = 1, norm = batchNorm }: BranchedBottleneckOptions,
    make: (path: Path, width: number) => P,
  ): P[] {
    const own = width / groups
    return Array.from({ length: groups }, () =>
      make(
        {
          conv1: new Conv2d(this.inChannels, own, { kernel: 1, bias: false }),
          bn1: norm(own),
          conv2: new Conv2d(own, own, { kernel: 3, stride, padding: 1, bias: false }),
          bn2: norm(own),
        },
        own,
      ),
    )
  }
}

/**
 * Form A, the idea itself: every branch is a small bottleneck, and they are summed. Xie et al. 2017, figure 3a.
 *
 *         +-- conv 1x1 -- norm -- relu -- conv 3x3 / stride -- norm -- relu -- conv 1x1 --+
 *     x --+--                             ... groups of them                              (+) -- norm -- (+) -- relu -- y
 *         +------------------- itself, or shortcut where the shape changes ------------------------------+
 *
 * (N, inChannels, H, W) to (N, outChannels, ceil(H / stride), ceil(W / stride)), the same numbers as `Bottleneck` with
 * the weights of `convertResNeXt`, which computes them faster.
 *
 * ```ts
 * convertResNeXt(new Bottleneck(64, 32, { groups: 8 }), new SummedBottleneck(64, 32, { groups: 8 }))
 * ```
 */
export class SummedBottleneck extends BranchedBottleneck {
  paths: (Path & { readonly conv3: Conv2d })[]
  bn3: NormLayer
  attention: Layer | undefined
  dropPath: DropPath
  downsample: Layer | undefined

  constructor(inChannels: number, width: number, options: BranchedBottleneckOptions = {}) {
    super(inChannels, width, options)
    const { norm = batchNorm, stride = 1 } = options
    const out = this.outChannels
    this.paths = this.makePaths(width, options, (path, own) => ({
      ...path,
      conv3: new Conv2d(own, out, { kernel: 1, bias: false }),
    }))
    this.bn3 = norm(out)
    this.attention = options.attention?.(out)
    this.dropPath = new DropPath(options.dropPath ?? 0)
    this.downsample = makeShortcut(inChannels, out, stride, options.shortcut)
    if (options.zeroInit === true) silence(this.bn3)
  }

  forward(x: Tensor): Tensor {
    const sum = this.paths
      .map((path) => path.conv3.forward(along(x, path)))
      .reduce((total, branch) => total.add(branch))
    return meet(x, this.bn3.forward(sum), this)
  }
}

/**
 * Form B: the branches end with their 3x3 convolutions, are joined along channels, and share the last 1x1 one. Xie et al.
 * 2017, figure 3b.
 *
 *         +-- conv 1x1 -- norm -- relu -- conv 3x3 / stride -- norm -- relu --+
 *     x --+--                     ... groups of them                          concat -- conv 1x1 -- norm -- (+) -- relu -- y
 *         +------------------- itself, or shortcut where the shape changes ---------------------------------+
 *
 * (N, inChannels, H, W) to (N, outChannels, ceil(H / stride), ceil(W / stride)), the same numbers as `Bottleneck` with
 * the weights of `convertResNeXt`.
 *
 * ```ts
 * convertResNeXt(new Bottleneck(64, 32, { groups: 8 }), new ConcatBottleneck(64, 32, { groups: 8 }))
 * ```
 */
export class ConcatBottleneck extends BranchedBottleneck {
  paths: Path[]
  conv3: Conv2d
  bn3: NormLayer
  attention: Layer | undefined
  dropPath: DropPath
  downsample: Layer | undefined

  constructor(inChannels: number, width: number, options: BranchedBottleneckOptions = {}) {
    super(inChannels, width, options)
    const { norm = batchNorm, stride = 1 } = options
    const out = this.outChannels
    this.paths = this.makePaths(width, options, (path) => path)
    this.conv3 = new Conv2d(width, out, { kernel: 1, bias: false })
    this.bn3 = norm(out)
    this.attention = options.attention?.(out)
    this.dropPath = new DropPath(options.dropPath ?? 0)
    this.downsample = makeShortcut(inChannels, out, stride, options.shortcut)
    if (options.zeroInit === true) silence(this.bn3)
  }

  forward(x: Tensor): Tensor {
    const joined = cat(
      this.paths.map((path) => along(x, path)),
      1,
    )
    return meet(x, this.bn3.forward(this.conv3.forward(joined)), this)
  }
}

/** Branches lie side by side among the outputs of a tensor, but among the inputs of the last convolution. */
const axisOf = (key: string): number => (key === 'conv3.weight' ? 1 : 0)

/**
 * Tensors of any form by their keys (a state dict, or gradients) as form C has them: those of the branches joined to that
 * of a grouped convolution, under the keys of `Bottleneck`. Counters, which all branches share, are taken from the first.
 */
export function joinBranches(dict: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const parts: Map<string, Tensor[]> = new Map()
  for (const [key, tensor] of dict) {
    const joined = key.replace(/^paths\.\d+\./, '')
    parts.set(joined, [...(parts.get(joined) ?? []), tensor])
  }
  const join = (key: string, list: readonly Tensor[]): Tensor => {
    const [first] = list
    return first !== undefined && (list.length === 1 || first.rank === 0) ? first : cat([...list], axisOf(key))
  }
  return new Map([...parts].map(([key, list]) => [key, join(key, list)]))
}

/**
 * Gives a block of ResNeXt the weights and running statistics of another one of any form: A (`SummedBottleneck`),
 * B (`ConcatBottleneck`) or C (`Bottleneck`). They then compute the same, up to rounding.
 *
 * @returns `to`.
 * @throws StateDictError where the two have not the same channels and groups; `to` is as it was.
 */
export function convertResNeXt<To extends Bottleneck | SummedBottleneck | ConcatBottleneck>(
  from: Bottleneck | SummedBottleneck | ConcatBottleneck,
  to: To,
): To {
  tidy(() => {
    const joined = joinBranches(from.stateDict())
    const split = [...to.stateDict()].flatMap(([key, { shape }]): [string, Tensor][] => {
      const [, branch, rest] = /^paths\.(\d+)\.(.*)$/.exec(key) ?? []
      if (branch === undefined || rest === undefined) return []
      const whole = joined.get(rest)
      if (whole === undefined || whole.rank === 0) return whole === undefined ? [] : [[key, whole]]
      const axis = axisOf(rest)
      const own = shape[axis] ?? 0
      // A slice that would reach beyond is left whole, for the error about its shape.
      const fits = (whole.shape[axis] ?? 0) === own * branchesOf(to)
      return [[key, fits ? narrow(whole, axis, Number(branch) * own, own) : whole]]
    })
    const whole = [...joined].filter(([key]) => !split.some(([path]) => path.endsWith(`.${key}`)))
    to.loadStateDict(new Map([...whole, ...split]))
  })
  return to
}

const branchesOf = (block: Bottleneck | SummedBottleneck | ConcatBottleneck): number =>
  'paths' in block ? block.paths.length : 1
