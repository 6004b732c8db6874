/** Checkpoint keys of inverted bottlenecks, which every project has its own of. */
import type { Conv2d, Layer } from '@convnets/nn'
import { ArgumentError } from '@convnets/tensor'

/**
 * Whose keys a block has: torchvision's EfficientNet and MobileNetV3 (`block.0.0.weight`), its MobileNetV2
 * (`conv.0.0.weight`) or MNASNet (`layers.0.weight`), or timm's (`conv_pw.weight`).
 */
export type MBConvKeys = 'torchvision' | 'mobilenet_v2' | 'mnasnet' | 'timm'

/** A convolution with its norm. */
export interface ConvNorm {
  readonly conv: Conv2d
  readonly bn: Layer
}

/** Convolutions of a block in their order, and what stands between depthwise and last one. */
export interface MBConvParts {
  readonly expand: ConvNorm | undefined
  readonly depthwise: ConvNorm
  readonly attention: Layer | undefined
  readonly project: ConvNorm
}

type Field = readonly [key: string, value: unknown]

/** Fields of a block under the keys of a project. @throws ArgumentError for a project that is not known. */
export function mbconvFields(keys: MBConvKeys, { expand, depthwise, attention, project }: MBConvParts): Field[] {
  const units = [...(expand === undefined ? [] : [expand]), depthwise]
  const nested = units.map(({ conv, bn }) => [conv, bn])
  const gates = attention === undefined ? [] : [attention]
  switch (keys) {
    case 'torchvision':
      return [['block', [...nested, ...gates, [project.conv, project.bn]]]]
    case 'mobilenet_v2':
      return [['conv', [...nested, ...gates, project.conv, project.bn]]]
    case 'mnasnet': {
      // Activations have no keys, but a number each.
      const flat = units.flatMap(({ conv, bn }) => [conv, bn, undefined])
      return [['layers', [...flat, ...gates, project.conv, project.bn]]]
    }
    case 'timm': {
      const first: Field[] =
        expand === undefined
          ? []
          : [
              ['conv_pw', expand.conv],
              ['bn1', expand.bn],
            ]
      const n = units.length
      const se: Field[] = attention === undefined ? [] : [['se', attention]]
      const last = expand === undefined ? 'conv_pw' : 'conv_pwl'
      return [
        ...first,
        ['conv_dw', depthwise.conv],
        [`bn${n}`, depthwise.bn],
        ...se,
        [last, project.conv],
        [`bn${n + 1}`, project.bn],
      ]
    }
    default:
      throw new ArgumentError(
        `MBConv: keys expects torchvision, mobilenet_v2, mnasnet or timm, got ${String(keys satisfies never)}`,
      )
  }
}
