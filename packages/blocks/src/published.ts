/**
 * Facts of published weights as rows, by who publishes them: what torchvision, timm and pretrained-models.pytorch have in
 * common stands here once.
 */
import { readOptions } from '@convnets/tensor'
import type { PretrainedWeights } from './registry.ts'

const imagenetTerms = 'trained on ImageNet, whose terms allow non-commercial research'
const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const
const half = [0.5, 0.5, 0.5] as const

/** What a row may say that its publisher's others do not. */
interface Details extends Partial<Pick<PretrainedWeights, 'mean' | 'std' | 'channelOrder' | 'sha256'>> {
  /** Values normalised to [-1, 1] instead of by ImageNet's statistics. Default false. */
  readonly centred?: boolean
}

/** A torchvision file: its name, pixels of the shorter side, top-1 and top-5 (not a number: not measured). */
export type TorchvisionRow = readonly [
  file: string,
  resize: number,
  top1: number,
  top5: number,
  /** Pixels of the crop (224), how images are resized (bilinear). */
  more?: Details & { readonly crop?: number; readonly interpolation?: 'bilinear' | 'bicubic' },
]

/** A timm checkpoint: pixels of the crop, the part of the shorter side that it is, top-1 and top-5 at that size. */
export type TimmRow = readonly [
  crop: number,
  cropPart: number,
  top1: number,
  top5: number,
  /** Resized bilinearly instead of bicubically; or normalised to [-1, 1] instead of by ImageNet's statistics. */
  how?: 'bilinear' | 'centred',
]

/** A checkpoint of pretrained-models.pytorch: its file, top-1 and top-5. */
export type CadeneRow = readonly [
  file: string,
  top1: number,
  top5: number,
  /** Pixels of the crop (224); whether class 0 is the background, in front of ImageNet's 1000 (no). */
  more?: Details & { readonly crop?: number; readonly background?: boolean },
]

/** Published weights of one network by publisher, under the names that these gave them. */
export interface PublishedWeights {
  readonly torchvision?: Readonly<Record<string, TorchvisionRow>>
  readonly timm?: Readonly<Record<string, TimmRow>>
  readonly cadene?: Readonly<Record<string, CadeneRow>>
  /** Of anybody else. */
  readonly others?: readonly PretrainedWeights[]
}

/** Digits behind the dash of a file name are the beginning of its sha256. */
const prefixOf = (file: string): string => /-([0-9a-f]{8,})\.pth$/.exec(file)?.[1] ?? ''

const accuracy = (top1: number, top5: number) => (Number.isNaN(top1) ? {} : { top1, top5 })

function classes(crop: number) {
  return { labels: 'imagenet-1k', numClasses: 1000, inputSize: [crop, crop], crop } as const
}

function statistics({ centred = false, ...details }: Details) {
  return { ...(centred ? { mean: half, std: half } : imagenet), ...details }
}

function ofTorchvision(name: string, [file, resize, top1, top5, more = {}]: TorchvisionRow): PretrainedWeights {
  const { crop = 224, interpolation = 'bilinear', ...details } = more
  return {
    name,
    url: `https://download.pytorch.org/models/${file}`,
    sha256Prefix: prefixOf(file),
    license: `BSD-3-Clause (torchvision); ${imagenetTerms}`,
    ...classes(crop),
    resize,
    interpolation,
    ...statistics(details),
    ...accuracy(top1, top5),
  }
}

/** Licences of timm's checkpoints by their tags: whose the weights are, and what else they were trained on. */
const timmLicenses: readonly (readonly [tag: RegExp, license: string, alsoOn?: string])[] = [
  [/^tv\d?_/, 'BSD-3-Clause (torchvision, as timm has it)'],
  [/^fb_.*yfcc100m/, 'CC-BY-NC-4.0 (Facebook, as timm has it)', 'YFCC100M (without labels)'],
  [/^fb_.*ig1b/, 'CC-BY-NC-4.0 (Facebook, as timm has it)', "a billion pictures of Instagram's"],
  [/^ns_jft_/, 'Apache-2.0 (timm)', 'JFT-300M (without labels)'],
]

function ofTimm(model: string, name: string, [crop, cropPart, top1, top5, how]: TimmRow): PretrainedWeights {
  const [, license = 'Apache-2.0 (timm)', alsoOn] = timmLicenses.find(([tag]) => tag.test(name)) ?? []
  return {
    name,
    url: `https://huggingface.co/timm/${model}.${name}/resolve/main/model.safetensors`,
    license: `${license}; ${imagenetTerms}${alsoOn === undefined ? '' : `, and on ${alsoOn}`}`,
    ...classes(crop),
    resize: Math.floor(crop / cropPart),
    interpolation: how === 'bilinear' ? 'bilinear' : 'bicubic',
    ...statistics({ centred: how === 'centred' }),
    ...accuracy(top1, top5),
  }
}

function ofCadene(name: string, [file, top1, top5, more = {}]: CadeneRow): PretrainedWeights {
  const { crop = 224, background = false, ...details } = more
  return {
    name,
    url: `http://data.lip6.fr/cadene/pretrainedmodels/${file}`,
    sha256Prefix: prefixOf(file),
    license: `BSD-3-Clause (pretrained-models.pytorch); ${imagenetTerms}`,
    ...classes(crop),
    ...(background && { labels: 'imagenet-1k with background', numClasses: 1001 }),
    resize: Math.floor(crop / 0.875),
    interpolation: 'bilinear',
    ...statistics(details),
    ...accuracy(top1, top5),
  }
}

/**
 * Weights of a network by name, the most accurate first.
 *
 * @param model what the network is called in timm's addresses.
 */
export function publishedWeights(model: string, rows: PublishedWeights): Record<string, PretrainedWeights> {
  const defaults = { torchvision: {}, timm: {}, cadene: {}, others: [] }
  const { torchvision, timm, cadene, others } = readOptions('publishedWeights', rows, defaults)
  const all = [
    ...Object.entries(torchvision).map(([name, row]) => ofTorchvision(name, row)),
    ...Object.entries(timm).map(([name, row]) => ofTimm(model, name, row)),
    ...Object.entries(cadene).map(([name, row]) => ofCadene(name, row)),
    ...others,
  ]
  all.sort((a, b) => (b.top1 ?? 0) - (a.top1 ?? 0))
  return Object.fromEntries(all.map((weights) => [weights.name, weights]))
}
