/** What layers say of bad arguments and bad inputs. */
import * as nn from '@convnets/nn'
import { ones, type Tensor, tensor, zeros } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'

const bad = <T>(value: unknown): T => value as T

describe('constructors', () => {
  test.each<[() => unknown, string]>([
    [() => new nn.Linear(0, 3), 'Linear: inFeatures expects an integer of at least 1, got 0'],
    [() => new nn.Linear(3, 1.5), 'Linear: outFeatures expects an integer of at least 1, got 1.5'],
    [() => new nn.Linear(3, 1, { bias: bad(1) }), 'Linear: bias expects true or false, got 1'],
    [() => new nn.Linear(3, 1, bad({ biased: false })), 'Linear: options expects one of bias, got biased'],
    [
      () => new nn.Conv2d(3, 3, bad({ kernel: 3, dilations: 2 })),
      'Conv2d: options expects one of kernel, stride, padding, dilation, groups, precision, bias, got dilations (did you mean dilation?)',
    ],
    [
      () => new nn.ConvTranspose2d(3, 3, bad({ kernel: 3, output_padding: 1 })),
      'got output_padding (did you mean outputPadding?)',
    ],
    [
      () => new nn.MaxPool2d(2, bad({ strides: 1 })),
      'MaxPool2d: options expects one of stride, padding, ceilMode, got',
    ],
    [() => new nn.AvgPool2d(2, bad({ count: 1 })), 'padding, ceilMode, countIncludePad, got count'],
    [() => new nn.BatchNorm2d(3, bad({ epsilon: 1 })), 'affine, trackRunningStats, got epsilon'],
    [() => new nn.LayerNorm(3, bad({ epsilon: 1 })), 'LayerNorm: options expects one of eps, affine, got epsilon'],
    [() => new nn.GroupNorm(1, 3, bad({ epsilon: 1 })), 'GroupNorm: options expects one of eps, affine, got epsilon'],
    [() => new nn.InstanceNorm2d(3, bad({ epsilon: 1 })), 'InstanceNorm2d: options expects one of eps, affine, got'],
    [
      () => new nn.LocalResponseNorm(5, bad({ size: 3 })),
      'LocalResponseNorm: options expects one of alpha, beta, k, got',
    ],
    [() => new nn.Dropout(0.5, bad({ seed: 1 })), 'Dropout: options expects one of generator, got seed'],
    [
      () => new nn.Upsample(bad({ factor: 2 })),
      'Upsample: options expects one of size, scale, mode, alignCorners, got',
    ],
    [() => new nn.Conv2d(0, 3, { kernel: 3 }), 'Conv2d: inChannels expects an integer of at least 1, got 0'],
    [
      () => new nn.Conv2d(3, Number.NaN, { kernel: 3 }),
      'Conv2d: outChannels expects an integer of at least 1, got NaN',
    ],
    [
      () => new nn.Conv2d(3, 3, bad({})),
      'Conv2d: kernel expects a number or [height, width] in the options, got nothing',
    ],
    [
      () => new nn.Conv2d(3, 3, bad(undefined)),
      'Conv2d: kernel expects a number or [height, width] in the options, got nothing',
    ],
    [() => new nn.Conv2d(3, 3, { kernel: 0 }), 'Conv2d: kernel expects an integer of at least 1, got 0'],
    [() => new nn.Conv2d(3, 3, { kernel: bad([3]) }), 'Conv2d: kernel expects a number or [height, width], got [3]'],
    [() => new nn.Conv2d(3, 3, { kernel: 3, stride: 0 }), 'Conv2d: stride expects an integer of at least 1, got 0'],
    [() => new nn.Conv2d(3, 3, { kernel: 3, padding: -1 }), 'Conv2d: padding expects an integer of at least 0, got -1'],
    [
      () => new nn.Conv2d(3, 3, { kernel: 3, padding: [1, 2, 3, -4] }),
      'Conv2d: padding expects an integer of at least 0, got -4',
    ],
    [
      () => new nn.Conv2d(3, 3, { kernel: 3, padding: bad('valid') }),
      "Conv2d: padding expects numbers or 'same', got 'valid'",
    ],
    [
      () => new nn.Conv2d(3, 3, { kernel: 3, dilation: [1, 0] }),
      'Conv2d: dilation expects an integer of at least 1, got 0',
    ],
    [
      () => new nn.Conv2d(4, 6, { kernel: 3, groups: 4 }),
      'Conv2d: groups expects a divisor of 4 input and 6 output channels, got 4',
    ],
    [() => new nn.Conv2d(4, 4, { kernel: 3, groups: 3 }), 'Conv2d: groups expects a divisor of 4 channels, got 3'],
    [() => new nn.Conv2d(4, 4, { kernel: 3, groups: 0 }), 'Conv2d: groups expects an integer of at least 1, got 0'],
    [() => new nn.Conv2d(4, 4, { kernel: 3, bias: bad('no') }), 'Conv2d: bias expects true or false, got no'],
    [
      () => new nn.ConvTranspose2d(4, 4, bad({})),
      'ConvTranspose2d: kernel expects a number or [height, width] in the options, got nothing',
    ],
    [
      () => new nn.ConvTranspose2d(4, 4, { kernel: 2, stride: 2, outputPadding: 2 }),
      'ConvTranspose2d: outputPadding expects less than stride or dilation (2), got 2',
    ],
    [
      () => new nn.ConvTranspose2d(4, 4, { kernel: 2, padding: 0.5 }),
      'ConvTranspose2d: padding expects an integer of at least 0, got 0.5',
    ],
    [
      () => new nn.ConvTranspose2d(4, 3, { kernel: 2, groups: 2 }),
      'ConvTranspose2d: groups expects a divisor of 4 input and 3 output channels, got 2',
    ],
    [() => new nn.BatchNorm2d(0), 'BatchNorm2d: numFeatures expects an integer of at least 1, got 0'],
    [() => new nn.BatchNorm1d(2, { eps: -1 }), 'BatchNorm1d: eps expects a number of at least 0, got -1'],
    [() => new nn.BatchNorm2d(2, { momentum: 1.1 }), 'BatchNorm2d: momentum expects a number from 0 to 1, got 1.1'],
    [() => new nn.BatchNorm2d(2, { affine: bad(0) }), 'BatchNorm2d: affine expects true or false, got 0'],
    [
      () => new nn.BatchNorm2d(2, { trackRunningStats: bad('yes') }),
      'BatchNorm2d: trackRunningStats expects true or false, got yes',
    ],
    [() => new nn.LayerNorm([]), 'LayerNorm: normalizedShape expects at least one axis, got none'],
    [() => new nn.LayerNorm([3, 0]), 'LayerNorm: normalizedShape expects an integer of at least 1, got 0'],
    [() => new nn.GroupNorm(3, 4), 'GroupNorm: groups expects a divisor of 4 channels, got 3'],
    [() => new nn.GroupNorm(1, 0), 'GroupNorm: numChannels expects an integer of at least 1, got 0'],
    [() => new nn.InstanceNorm2d(-2), 'InstanceNorm2d: numFeatures expects an integer of at least 1, got -2'],
    [() => new nn.LocalResponseNorm(0), 'LocalResponseNorm: size expects an integer of at least 1, got 0'],
    [
      () => new nn.LocalResponseNorm(5, { beta: bad('x') }),
      'LocalResponseNorm: beta expects a number of at least -Infinity, got x',
    ],
    [() => new nn.Dropout(1.5), 'Dropout: p expects a number from 0 to 1, got 1.5'],
    [() => new nn.Dropout2d(-0.1), 'Dropout2d: p expects a number from 0 to 1, got -0.1'],
    [() => new nn.DropPath(Number.NaN), 'DropPath: p expects a number from 0 to 1, got NaN'],
    [() => new nn.MaxPool2d(0), 'MaxPool2d: kernel expects an integer of at least 1, got 0'],
    [() => new nn.MaxPool2d(3, { padding: 2 }), 'MaxPool2d: padding expects at most half of kernel 3, got 2'],
    [() => new nn.MaxPool2d(3, { ceilMode: bad('x') }), 'MaxPool2d: ceilMode expects true or false, got x'],
    [() => new nn.AvgPool2d(2, { stride: 0 }), 'AvgPool2d: stride expects an integer of at least 1, got 0'],
    [() => new nn.AvgPool2d([2, 4], { padding: [2, 2] }), 'AvgPool2d: padding expects at most half of kernel 2, got 2'],
    [() => new nn.AvgPool2d(2, { countIncludePad: bad(1) }), 'AvgPool2d: countIncludePad expects true or false, got 1'],
    [() => new nn.AdaptiveAvgPool2d(0), 'AdaptiveAvgPool2d: outputSize expects an integer of at least 1, got 0'],
    [() => new nn.AdaptiveMaxPool2d([1, -1]), 'AdaptiveMaxPool2d: outputSize expects an integer of at least 1, got -1'],
    [() => new nn.GELU({ approximate: bad('erf') }), "GELU: approximate expects 'none' or 'tanh', got erf"],
    [() => new nn.LeakyReLU(bad('x')), 'LeakyReLU: negativeSlope expects a number of at least -Infinity, got x'],
    [() => new nn.ELU(Number.NaN), 'ELU: alpha expects a number of at least -Infinity, got NaN'],
    [() => new nn.Softplus({ beta: 0 }), 'Softplus: beta expects a number of at least 5e-324, got 0'],
    [() => new nn.Softmax({ dim: 0.5 }), 'Softmax: dim expects an integer, got 0.5'],
    [() => new nn.LogSoftmax({ dim: bad('1') }), 'LogSoftmax: dim expects an integer, got 1'],
    [() => new nn.Flatten(0.5), 'Flatten: startDim expects an integer, got 0.5'],
    [() => new nn.Flatten(0, bad('x')), 'Flatten: endDim expects an integer, got x'],
    [() => new nn.Upsample({}), 'Upsample: expects size or scale, got neither'],
    [() => new nn.Upsample({ size: 2, scale: 2 }), 'Upsample: expects size or scale, got both'],
    [() => new nn.Upsample({ scale: 0 }), 'Upsample: scale expects a number of at least 5e-324, got 0'],
    [
      () => new nn.Upsample({ size: 2, mode: bad('bicubic') }),
      "Upsample: mode expects 'nearest' or 'bilinear', got bicubic",
    ],
    [
      () => new nn.Upsample({ size: 2, alignCorners: true }),
      'Upsample: alignCorners expects mode bilinear, got nearest',
    ],
    [
      () => new nn.CrossEntropyLoss({ labelSmoothing: 2 }),
      'CrossEntropyLoss: labelSmoothing expects a number from 0 to 1, got 2',
    ],
    [
      () => new nn.CrossEntropyLoss({ reduction: bad('avg') }),
      "CrossEntropyLoss: reduction expects 'mean', 'sum' or 'none', got avg",
    ],
    [() => new nn.CrossEntropyLoss({ ignoreIndex: 0.5 }), 'CrossEntropyLoss: ignoreIndex expects an integer, got 0.5'],
    [() => new nn.CrossEntropyLoss({ weight: bad([1]) }), 'buffer: values expects a Tensor, got object'],
    [() => new nn.MSELoss({ reduction: bad('avg') }), "MSELoss: reduction expects 'mean', 'sum' or 'none', got avg"],
  ])('case %#', (make, message) => {
    expect(make).toThrow(message)
  })
})

describe('inputs', () => {
  const images = ones([2, 3, 4, 4])

  test.each<[() => unknown, string]>([
    [() => new nn.Linear(2, 3).forward(ones([4, 3])), 'linear: x expects 2 features, as weight (3, 2) has, got 3'],
    [() => new nn.Linear(2, 3).forward(tensor(1)), 'linear: x expects at least rank 1 (..., in), got a scalar'],
    [
      () => new nn.Linear(2, 3).forward(zeros([1, 2], { dtype: 'int32' })),
      'linear: x expects float32 or float64, got int32',
    ],
    [
      () => new nn.Linear(2, 3).forward(zeros([1, 2], { dtype: 'float64' })),
      'linear: weight expects float64, got float32',
    ],
    [() => new nn.Conv2d(4, 2, { kernel: 3 }).forward(images), 'conv2d: weight expects 3 input channels, got 4'],
    [
      () => new nn.Conv2d(3, 2, { kernel: 3 }).forward(ones([3, 4, 4])),
      'conv2d: x expects rank 4 (N, C, H, W), got (3, 4, 4)',
    ],
    [
      () => new nn.Conv2d(3, 2, { kernel: 5 }).forward(images),
      "conv2d: x of height and width (4, 4) is smaller than the kernel's span (5, 5)",
    ],
    [
      () => new nn.ConvTranspose2d(4, 2, { kernel: 3 }).forward(images),
      'convTranspose2d: weight expects 3 input channels in 1 equal groups, as x has, got (4, 2, 3, 3)',
    ],
    [() => new nn.BatchNorm2d(4).forward(images), 'BatchNorm2d: x expects (N, 4, H, W), got (2, 3, 4, 4)'],
    [() => new nn.BatchNorm2d(3).forward(ones([2, 3])), 'BatchNorm2d: x expects (N, 3, H, W), got (2, 3)'],
    [() => new nn.BatchNorm1d(3).forward(images), 'BatchNorm1d: x expects (N, 3) or (N, 3, L), got (2, 3, 4, 4)'],
    [() => new nn.BatchNorm2d(3).forward(images.to('int32')), 'batchNorm: x expects float32 or float64, got int32'],
    [() => new nn.InstanceNorm2d(2).forward(images), 'InstanceNorm2d: x expects (N, 2, H, W), got (2, 3, 4, 4)'],
    [
      () => new nn.InstanceNorm2d(3).forward(ones([2, 3, 1, 1])),
      'instanceNorm: x expects more than one spatial cell, got (2, 3, 1, 1)',
    ],
    [() => new nn.LayerNorm(3).forward(images), 'layerNorm: x expects (3) as its last axes, got (2, 3, 4, 4)'],
    [() => new nn.GroupNorm(2, 4).forward(images), 'groupNorm: groups expects a divisor of 3 channels, got 2'],
    [() => new nn.LocalResponseNorm(3).forward(ones([2])), 'localResponseNorm: x expects at least rank 3'],
    [() => new nn.MaxPool2d(5).forward(images), 'maxPool2d: x of size 4 is smaller than kernel 5 with padding 0'],
    [() => new nn.AvgPool2d(2).forward(ones([4, 4])), 'avgPool2d: x expects rank 4 (N, C, H, W), got (4, 4)'],
    [() => new nn.GlobalAvgPool2d().forward(ones([4])), 'adaptiveAvgPool2d: x expects rank 4 (N, C, H, W), got (4)'],
    [() => new nn.Softmax({ dim: 4 }).forward(images), 'softmax: dim expects an integer from -4 to 3, got 4'],
    [
      () => new nn.Upsample({ scale: 0.3 }).forward(images),
      'Upsample: scale [0.3, 0.3] of (4, 4) expects whole sizes, got [',
    ],
    [() => new nn.Upsample({ scale: 2 }).forward(ones([4])), 'Upsample: x expects (N, C, H, W), got (4)'],
    [() => new nn.ReLU().forward(bad<Tensor>([1])), 'relu: input 0 expects a Tensor, got an array'],
    [() => new nn.MSELoss().forward(ones([2]), ones([3])), 'mseLoss: y expects (2) as x has, got (3)'],
    [
      () => new nn.CrossEntropyLoss().forward(ones([2, 3]), ones([2])),
      'crossEntropy: target expects (2, 3) for logits (2, 3), got (2)',
    ],
  ])('case %#', (call, message) => {
    expect(call).toThrow(message)
  })
})
