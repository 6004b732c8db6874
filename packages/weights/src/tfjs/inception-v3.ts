/**
 * Inception v3 of Keras: 94 convolutions and as many batch normalisations, which have numbers instead of names, in the
 * order in which `keras.applications.inception_v3` makes them. Here is what torchvision calls them, in that order.
 */

const branches = (block: string, names: readonly string[]): string[] => names.map((name) => `${block}.${name}`)

const steps = (branch: string, ...last: (number | string)[]): string[] => last.map((step) => `${branch}_${step}`)

const a = ['branch1x1', ...steps('branch5x5', 1, 2), ...steps('branch3x3dbl', 1, 2, 3), 'branch_pool']
const b = ['branch3x3', ...steps('branch3x3dbl', 1, 2, 3)]
const c = ['branch1x1', ...steps('branch7x7', 1, 2, 3), ...steps('branch7x7dbl', 1, 2, 3, 4, 5), 'branch_pool']
const d = [...steps('branch3x3', 1, 2), ...steps('branch7x7x3', 1, 2, 3, 4)]
const e = ['branch1x1', ...steps('branch3x3', 1, '2a', '2b'), ...steps('branch3x3dbl', 1, 2, '3a', '3b'), 'branch_pool']

const order: readonly string[] = [
  'Conv2d_1a_3x3',
  'Conv2d_2a_3x3',
  'Conv2d_2b_3x3',
  'Conv2d_3b_1x1',
  'Conv2d_4a_3x3',
  ...['Mixed_5b', 'Mixed_5c', 'Mixed_5d'].flatMap((block) => branches(block, a)),
  ...branches('Mixed_6a', b),
  ...['Mixed_6b', 'Mixed_6c', 'Mixed_6d', 'Mixed_6e'].flatMap((block) => branches(block, c)),
  ...branches('Mixed_7a', d),
  ...['Mixed_7b', 'Mixed_7c'].flatMap((block) => branches(block, e)),
]

/** Layers of a name that Keras numbers: `conv2d` or `conv2d_1`, and so on, by rising number. */
function numbered(layers: readonly string[], name: string): string[] {
  const number = (layer: string): number => Number(layer.slice(name.length + 1) || 0)
  return layers
    .filter((layer) => layer === name || new RegExp(`^${name}_\\d{1,6}$`).test(layer))
    .sort((first, second) => number(first) - number(second))
}

/** torchvision's names by Keras' ones, if these are the layers of Inception v3. */
export function inceptionNames(layers: readonly string[]): Map<string, string> | undefined {
  const convolutions = numbered(layers, 'conv2d')
  const norms = numbered(layers, 'batch_normalization')
  if (convolutions.length !== order.length || norms.length !== order.length) return undefined
  return new Map([
    ...convolutions.map((layer, i) => [layer, `${order[i]}.conv`] as const),
    ...norms.map((layer, i) => [layer, `${order[i]}.bn`] as const),
    ['predictions', 'fc'],
  ])
}
