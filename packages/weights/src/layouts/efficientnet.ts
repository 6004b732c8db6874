/**
 * EfficientNet: three projects, three layouts of the same network. The common names are torchvision's.
 *
 * The first stage's blocks have no expansion, so what is called first elsewhere is called `block.0` there.
 */
import type { Layout } from './layouts.ts'

/** Parts of a block by timm's names and by lukemelas', with torchvision's place in blocks with and without expansion. */
const parts: readonly (readonly [timm: string, lukemelas: string, first: string | undefined, later: string])[] = [
  ['conv_pw', '_expand_conv', undefined, '0.0'],
  ['bn1', '_bn0', undefined, '0.1'],
  ['conv_dw', '_depthwise_conv', '0.0', '1.0'],
  ['bn2', '_bn1', '0.1', '1.1'],
  ['se.conv_reduce', '_se_reduce', '1.fc1', '2.fc1'],
  ['se.conv_expand', '_se_expand', '1.fc2', '2.fc2'],
  ['conv_pwl', '_project_conv', '2.0', '3.0'],
  ['bn3', '_bn2', '2.1', '3.1'],
]

const later: ReadonlyMap<string, string> = new Map(parts.map(([timm, , , place]) => [timm, place]))

/** timm numbers the norms of a block anew where it has no expansion, and calls its projection `conv_pw`. */
const first: ReadonlyMap<string, string> = new Map([
  ['conv_dw', '0.0'],
  ['bn1', '0.1'],
  ['se.conv_reduce', '1.fc1'],
  ['se.conv_expand', '1.fc2'],
  ['conv_pw', '2.0'],
  ['bn2', '2.1'],
])

const rest: ReadonlyMap<string, string> = new Map([
  ['conv_stem', 'features.0.0'],
  ['bn1', 'features.0.1'],
  ['conv_head', 'features.8.0'],
  ['bn2', 'features.8.1'],
  ['classifier', 'classifier.1'],
])

/** Cuts a key into the path of a module and the tensor's own name. */
function cut(key: string): readonly [path: string, leaf: string] {
  const dot = key.lastIndexOf('.')
  return [key.slice(0, dot), key.slice(dot)]
}

export const timmEfficientNet: Layout = {
  name: 'timm EfficientNet',
  match(keys) {
    if (!keys.has('conv_stem.weight') || !keys.has('blocks.0.0.conv_dw.weight')) return undefined
    return (key) => {
      const [path, leaf] = cut(key)
      const block = /^blocks\.(\d+)\.(\d+)\.(.+)$/.exec(path)
      if (!block) return (rest.get(path) ?? path) + leaf
      const place = (block[1] === '0' ? first : later).get(block[3]!)
      return place === undefined ? key : `features.${Number(block[1]) + 1}.${block[2]}.block.${place}${leaf}`
    }
  },
}

/** Blocks of each stage, of B0 to B8 and L2 (B1 and B2 have the same). lukemelas numbers them through. */
const depths: readonly (readonly number[])[] = [
  [1, 2, 2, 3, 3, 4, 1],
  [2, 3, 3, 4, 4, 5, 2],
  [2, 3, 3, 5, 5, 6, 2],
  [2, 4, 4, 6, 6, 8, 2],
  [3, 5, 5, 7, 7, 9, 3],
  [3, 6, 6, 8, 8, 11, 3],
  [4, 7, 7, 10, 10, 13, 4],
  [4, 8, 8, 11, 11, 15, 4],
  [6, 11, 11, 16, 16, 22, 6],
]

const lukemelasRest: ReadonlyMap<string, string> = new Map([
  ['_conv_stem', 'features.0.0'],
  ['_bn0', 'features.0.1'],
  ['_conv_head', 'features.8.0'],
  ['_bn1', 'features.8.1'],
  ['_fc', 'classifier.1'],
])

const lukemelasParts: ReadonlyMap<string, readonly [first: string | undefined, later: string]> = new Map(
  parts.map(([, name, ...places]) => [name, places]),
)

/** Stage and place in it of each block, where blocks are numbered through. */
function numberBlocks(depth: readonly number[]): (readonly [stage: number, block: number])[] {
  return depth.flatMap((count, stage) => Array.from({ length: count }, (_, block) => [stage + 1, block] as const))
}

export const lukemelasEfficientNet: Layout = {
  name: 'lukemelas EfficientNet',
  match(keys) {
    if (!keys.has('_conv_stem.weight')) return undefined
    const count = new Set([...keys].flatMap((key) => /^_blocks\.(\d+)\./.exec(key)?.[1] ?? [])).size
    const depth = depths.find((stages) => stages.reduce((sum, blocks) => sum + blocks, 0) === count)
    if (!depth) return undefined
    const blocks = numberBlocks(depth)
    return (key) => {
      const [path, leaf] = cut(key)
      const match = /^_blocks\.(\d+)\.(.+)$/.exec(path)
      if (!match) return (lukemelasRest.get(path) ?? path) + leaf
      const [stage, block] = blocks[Number(match[1])] ?? []
      const place = lukemelasParts.get(match[2]!)?.[stage === 1 ? 0 : 1]
      return place === undefined ? key : `features.${stage}.${block}.block.${place}${leaf}`
    }
  },
}
