/** The convolutions that networks are made of, found by running the networks without numbers. */
import { classic } from '@convnets/models-classic'
import { modern } from '@convnets/models-modern'
import { withoutNumbers } from '@convnets/profile'
import { type ConvSpec, noGrad, tidy, watchOps, zeros } from '@convnets/tensor'
import { flopsOf } from './cases.ts'

/** A convolution and the networks that it occurs in. */
export interface Found {
  readonly spec: ConvSpec
  readonly networks: readonly string[]
}

/** The entry of a network in the tables of both packages. */
export function entryOf(name: string): (typeof modern)[number] | (typeof classic)[number] {
  const entry = [...classic, ...modern].find((known) => known.name === name)
  if (entry === undefined) throw new Error(`bench: there is no network called '${name}'`)
  return entry
}

/** The distinct convolutions of networks on one image of their native size, in the order of their first use. */
export function convolutionsOf(networks: readonly string[]): Found[] {
  const found = new Map<string, { spec: ConvSpec; networks: string[] }>()
  for (const name of networks) {
    const entry = entryOf(name)
    withoutNumbers(() =>
      tidy(() => {
        const model = entry().eval()
        const meet = (spec: ConvSpec): void => {
          const key = JSON.stringify(spec)
          const known = found.get(key)
          if (known === undefined) found.set(key, { spec, networks: [name] })
          else if (!known.networks.includes(name)) known.networks.push(name)
        }
        watchOps({ end: (call) => call.name === 'conv2d' && meet(call.attrs as ConvSpec) }, () =>
          noGrad(() => void model.forward(zeros([1, 3, ...entry.inputSize]))),
        )
      }),
    )
  }
  return [...found.values()]
}

export const isDepthwise = (s: ConvSpec): boolean => s.groups > 1 && s.groups === s.inChannels

/** Of convolutions that are alike (kernel, stride, kind of groups, map) the one that computes most. */
export function oneOfEachKind(all: readonly Found[]): Found[] {
  const kinds = new Map<string, Found>()
  for (const found of all) {
    const s = found.spec
    const groups = s.groups === 1 ? 'dense' : isDepthwise(s) ? 'depthwise' : 'grouped'
    const kernel = `${s.kernelHeight}x${s.kernelWidth}/${s.strideHeight}x${s.strideWidth}`
    // Maps of one pixel (squeeze-and-excitation) count as one kind; others by their size.
    const key = [kernel, groups, s.outHeight, s.inChannels === 3].join(' ')
    const known = kinds.get(key)
    if (known === undefined || work(found) > work(known)) kinds.set(key, found)
  }
  return all.filter((found) => [...kinds.values()].includes(found))
}

const work = ({ spec }: Found): number => flopsOf({ kind: 'conv', spec, pass: 'forward' })

/** `3x3/2 64->128 56x56->28x28 g32`. */
export function label(s: ConvSpec): string {
  const square = (h: number, w: number): string => (h === w ? `${h}` : `${h}x${w}`)
  const stride = s.strideHeight === 1 && s.strideWidth === 1 ? '' : `/${square(s.strideHeight, s.strideWidth)}`
  const groups = isDepthwise(s) ? ' depthwise' : s.groups > 1 ? ` groups ${s.groups}` : ''
  const batch = s.batch > 1 ? ` batch ${s.batch}` : ''
  return `${s.kernelHeight}x${s.kernelWidth}${stride} ${s.inChannels}-${s.outChannels} @${square(s.outHeight, s.outWidth)}${groups}${batch}`
}
