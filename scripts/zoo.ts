/** `fixtures/zoo.json`: what torchvision, timm and pretrained-models.pytorch say of their networks, against our entries. */
import { readFileSync } from 'node:fs'
import type { ModelFacts, PretrainedWeights } from '@convnets/models-classic'

/** A set of weights as the projects describe it: torchvision by pixels, timm by the part of the picture that is left. */
interface ZooWeights {
  readonly tag: string
  readonly file?: string
  readonly top1?: number | null
  readonly top5?: number | null
  readonly resize?: number
  readonly crop?: number
  readonly input?: number
  readonly crop_pct?: number
  readonly interp: 'bilinear' | 'bicubic'
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  readonly results?: readonly { readonly size: number; readonly top1: number; readonly top5: number }[]
}

export interface ZooVariant {
  readonly name: string
  readonly params: number | null
  readonly macs: number | null
  readonly state_dict_tensors?: number
  readonly input: readonly number[]
  readonly top1?: number
  readonly top5?: number
  readonly mean?: readonly number[]
  readonly std?: readonly number[]
  readonly weights?: readonly ZooWeights[]
}

const file = new URL('../fixtures/zoo.json', import.meta.url)
const zoo = JSON.parse(readFileSync(file, 'utf8')) as { readonly variants: readonly ZooVariant[] }

/** Cadene's networks that are ours, and the beginning of the file's name. Their rows have no list of weights. */
const cadene: Readonly<Record<string, string>> = {
  bninception: 'bn_inception',
  inception_v4: 'inceptionv4',
  inception_resnet_v2: 'inceptionresnetv2',
  legacy_senet154: 'senet154',
  legacy_seresnet50: 'se_resnet50',
  legacy_seresnet101: 'se_resnet101',
  legacy_seresnet152: 'se_resnet152',
  legacy_seresnext50_32x4d: 'se_resnext50_32x4d',
  legacy_seresnext101_32x4d: 'se_resnext101_32x4d',
  resnext101_64x4d: 'resnext101_64x4d',
}

/** Networks of the zoo under other names than ours. */
const renamed: Readonly<Record<string, string>> = {
  alexnet_2012: 'bvlc_alexnet (original 2-group AlexNet)',
  inception_v2: 'inception_v2_caffe2 (paper channels)',
  inception_resnet_v1: 'inception_resnet_v1(facenet, 512->1000 logits, 160px)',
  inception_resnet_v1_2016: 'inception_resnet_v1(ImageNet head 1792->1000, 299px)',
  densenet264: 'densenet264(k=32)',
  densenet_bc_40_12: 'densenet_bc_L40_k12',
  densenet_bc_100_12: 'densenet_bc_L100_k12',
  densenet_bc_250_24: 'densenet_bc_L250_k24',
  densenet_bc_190_40: 'densenet_bc_L190_k40',
  ...Object.fromEntries([20, 32, 44, 56, 110].map((depth) => [`resnet${depth}`, `cifar_resnet${depth}`])),
  ...Object.fromEntries([20, 32, 44, 56, 110].map((depth) => [`plain${depth}`, `cifar_resnet${depth}`])),
}

/** Sets of weights of the zoo for networks that are not among ours, with the reason. */
export const elsewhere: Readonly<Record<string, string>> = {
  'timm/senet154': 'pools with padding where SENet-154 of the paper rounds up',
  'timm/seresnext50_32x4d': 'v1.5, of which there is seresnet50',
  'timm/seresnext101_32x4d': 'v1.5, of which there is seresnet50',
  'timm/seresnext101_64x4d': 'v1.5, of which there is seresnet50',
  'timm/resnext101_32x4d': 'not among the variants here',
  'timm/efficientnet_b5': 'batch norm with eps 1e-5, where efficientnet_b5 has 1e-3',
}

/** Variants of the zoo that an entry is: torchvision's or the original, timm's, Cadene's. */
export function variantsOf(entry: string): ZooVariant[] {
  const names = [entry, renamed[entry], `timm/${entry}`, `cadene/${cadene[entry]}`]
  return zoo.variants.filter(({ name }) => names.includes(name) && !(name in elsewhere))
}

/** Variants of the zoo that have published weights. */
export const withWeights = (): string[] => zoo.variants.filter((row) => row.weights?.length).map(({ name }) => name)

const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
const centred = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }

/** What `transform_input` makes of ImageNet's statistics. */
const transforms = new Set(['googlenet', 'inception_v3'])

type Expected = Partial<Omit<PretrainedWeights, 'url'>> & { readonly url: unknown }
type Matcher = (pattern: RegExp) => unknown

const accuracy = (top1?: number | null, top5?: number | null) =>
  typeof top1 === 'number' && typeof top5 === 'number' ? { top1, top5 } : {}

function ofTorchvision(entry: string, { tag, file = '', resize = 0, crop = 0, ...row }: ZooWeights, like: Matcher) {
  // Some files of EfficientNets were uploaded again, with the same weights under the checksum that they really have.
  const name = /^efficientnet_b\d_[a-z]/.test(file) ? file.replace(/-[0-9a-f]+/, '-[0-9a-f]{8}') : file
  const statistics = tag === 'IMAGENET1K_FEATURES' ? {} : transforms.has(entry) ? centred : imagenet
  const url = like(new RegExp(`^https://download\\.pytorch\\.org/models/${name}$`))
  const size = { resize, crop, inputSize: [crop, crop] as const, interpolation: row.interp }
  return [tag, { url, ...size, ...statistics, ...accuracy(row.top1, row.top5) }] as const
}

function ofTimm(entry: string, { tag, input = 0, crop_pct = 1, interp, ...row }: ZooWeights) {
  const url = `https://huggingface.co/timm/${entry}.${tag}/resolve/main/model.safetensors`
  const own = row.results?.find(({ size }) => size === input)
  const size = { resize: Math.floor(input / crop_pct), crop: input, inputSize: [input, input] as const }
  const { mean = [], std = [] } = row
  return [tag, { url, ...size, interpolation: interp, mean, std, ...accuracy(own?.top1, own?.top5) }] as const
}

function ofCadene(entry: string, { input, top1, top5, mean = [], std = [] }: ZooVariant, like: Matcher) {
  const [, crop = 0] = input
  const background = crop === 299
  const bytes = mean[0]! > 1
  const expected = {
    url: like(new RegExp(`^http://data\\.lip6\\.fr/cadene/pretrainedmodels/${cadene[entry]}-[0-9a-f]+\\.pth$`)),
    resize: Math.floor(crop / 0.875),
    crop,
    inputSize: [crop, crop] as const,
    interpolation: 'bilinear' as const,
    numClasses: background ? 1001 : 1000,
    mean: bytes ? mean.map((value) => value / 255) : mean,
    std: bytes ? std.map((value) => value / 255) : std,
    ...(bytes && { channelOrder: 'bgr' as const }),
    ...accuracy(top1, top5),
  }
  return [background ? 'IMAGENET_BACKGROUND' : 'IMAGENET', expected] as const
}

/** What the weights of an entry must be by the zoo, by their names. `like` makes a matcher of a pattern. */
export function expectedWeights({ name: entry }: Pick<ModelFacts, 'name'>, like: Matcher): Record<string, Expected> {
  const sets = variantsOf(entry).flatMap((variant) => {
    if (variant.name === `timm/${entry}`) return (variant.weights ?? []).map((row) => ofTimm(entry, row))
    if (variant.weights) return variant.weights.map((row) => ofTorchvision(entry, row, like))
    return entry in cadene ? [ofCadene(entry, variant, like)] : []
  })
  return Object.fromEntries(sets)
}
