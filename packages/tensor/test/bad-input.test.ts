/** Bad calls, by message: each throws a typed error that names op and argument, and leaves no tensor and no buffer. */
import { describe, expect, it } from 'vitest'
import * as t from '../src/index.ts'

const { ArgumentError, BackendError, DisposedError, DTypeError, GradientError, ShapeError, OutOfMemoryError } = t

type Case = readonly [call: () => unknown, error: new (message: string) => Error, message: RegExp]

/** What type checkers refuse, for those who have none. */
const wrong = (value: unknown): never => value as never

function cases(backend: t.Backend, other: t.Backend): Record<string, Case[]> {
  const ones = (...shape: number[]): t.Tensor => t.ones(shape, { backend })
  const ints = (values: Parameters<typeof t.tensor>[0]): t.Tensor => t.tensor(values, { dtype: 'int32', backend })
  const scalar = ones()
  const vector = ones(3)
  const matrix = ones(2, 3)
  const image = ones(1, 4, 5, 5)
  const kernel = ones(6, 4, 3, 3)
  const double = t.ones([2, 3], { dtype: 'float64', backend })
  const doubleImage = t.ones([1, 4, 5, 5], { dtype: 'float64', backend })
  const whole = ints([
    [1, 2, 3],
    [4, 5, 6],
  ])
  const wholeImage = t.ones([1, 4, 5, 5], { dtype: 'int32', backend })
  const truth = t.ones([2, 3], { dtype: 'bool', backend })
  const elsewhere = t.ones([2, 3], { backend: other })
  const imageElsewhere = t.ones([1, 4, 5, 5], { backend: other })
  const gone = t.ones([2, 3], { backend })
  gone.dispose()
  const goneImage = t.ones([1, 4, 5, 5], { backend })
  goneImage.dispose()
  const freed = /was used after it was freed/
  const mixed = (op: string): RegExp => new RegExp(`${op}: inputs lie on different backends`)

  return {
    tensor: [
      [
        () => t.tensor([[1, 2], [3]], { backend }),
        ShapeError,
        /tensor: values expects arrays of equal length 2 at depth 1, got length 1/,
      ],
      [() => t.tensor([1, wrong([2])], { backend }), ShapeError, /tensor: values expects nesting of depth 1, got more/],
      [
        () => t.tensor([[1], wrong(2)], { backend }),
        ShapeError,
        /tensor: values expects arrays of equal length 1 at depth 1, got number/,
      ],
      [
        () => t.tensor(wrong('12'), { backend }),
        ArgumentError,
        /tensor: values expects numbers, nested arrays or a typed array, got String/,
      ],
      [() => t.tensor(wrong(null), { backend }), ArgumentError, /tensor: values expects .*, got Null/],
      [() => t.tensor(wrong(undefined), { backend }), ArgumentError, /tensor: values expects .*, got Undefined/],
      [
        () => t.tensor(wrong(new BigInt64Array(2)), { backend }),
        ArgumentError,
        /tensor: values expects .*, got BigInt64Array/,
      ],
      [
        () => t.tensor(wrong([1, 'a']), { backend }),
        ArgumentError,
        /tensor: values expects numbers or booleans, got string/,
      ],
      [
        () => t.tensor(wrong([1, null]), { backend }),
        ArgumentError,
        /tensor: values expects numbers or booleans, got null/,
      ],
      [
        () => t.tensor(wrong({ length: 2 }), { backend }),
        ArgumentError,
        /tensor: values expects numbers or booleans, got object/,
      ],
      [
        () => t.tensor([1, 2, 3], { shape: [2, 2], backend }),
        ShapeError,
        /tensor: shape \(2, 2\) expects 4 values, got 3/,
      ],
      [
        () => t.tensor(new Float32Array(3), { shape: [-3], backend }),
        ShapeError,
        /tensor: shape expects non-negative integers, got \(-3\)/,
      ],
      [
        () => t.tensor(new Float32Array(3), { shape: [1.5, 2], backend }),
        ShapeError,
        /tensor: shape expects non-negative integers/,
      ],
      [
        () => t.tensor(new Float32Array(3), { shape: wrong(3), backend }),
        ShapeError,
        /tensor: shape expects an array of integers, got 3/,
      ],
      [
        () => t.tensor([1], { dtype: wrong('float16'), backend }),
        DTypeError,
        /tensor: dtype expects one of float32, float64, int32, uint8, bool, got float16/,
      ],
      [
        () => t.tensor([1], { dtype: 'int32', requiresGrad: true, backend }),
        DTypeError,
        /tensor: requiresGrad expects a float dtype, got int32/,
      ],
    ],
    creation: [
      [() => t.zeros([2, -1], { backend }), ShapeError, /zeros: shape expects non-negative integers, got \(2, -1\)/],
      [() => t.zeros([2 ** 30, 2 ** 30], { backend }), ShapeError, /zeros: shape .* has too many elements/],
      [() => t.ones([2], { dtype: wrong('int64'), backend }), DTypeError, /ones: dtype expects one of .*, got int64/],
      [() => t.full([2], wrong('1'), { backend }), ArgumentError, /full: value expects a number, got string/],
      [
        () => t.ones([2], { dtype: 'bool', requiresGrad: true, backend }),
        DTypeError,
        /ones: requiresGrad expects a float dtype, got bool/,
      ],
      [
        () => t.arange(0, 5, 0, { backend }),
        ArgumentError,
        /arange: expects finite numbers and a step other than 0, got 0, 5, 0/,
      ],
      [() => t.arange(0, Number.POSITIVE_INFINITY, 1, { backend }), ArgumentError, /arange: expects finite numbers/],
      [() => t.rand([3], { dtype: 'int32', backend }), DTypeError, /rand: dtype expects float32 or float64, got int32/],
      [() => t.randn([wrong('3')], { backend }), ShapeError, /randn: shape expects non-negative integers/],
      [
        () => t.fromChannelsLast(new Uint8Array(4), [2, 2], { backend }),
        ShapeError,
        /fromChannelsLast: shape expects \[N, H, W, C\] or \[H, W, C\], got \(2, 2\)/,
      ],
      [
        () => t.fromChannelsLast(new Uint8Array(4), [2, 2, 3], { backend }),
        ShapeError,
        /fromChannelsLast: shape \(2, 2, 3\) expects 12 values, got 4/,
      ],
      [
        () => t.fromChannelsLast(wrong([1, 2, 3]), [1, 1, 3], { backend }),
        ArgumentError,
        /fromChannelsLast: data expects a typed array, got object/,
      ],
    ],
    reading: [
      [() => matrix.item(), ShapeError, /item: expects one element, got \(2, 3\)/],
      [() => matrix.to(wrong('half')), ArgumentError, /to: target expects a dtype or a backend, got half/],
      [() => matrix.to(wrong(null)), ArgumentError, /to: target expects a dtype or a backend, got null/],
      [() => matrix.assign_([1, 2]), ShapeError, /assign_: source expects 6 elements, got 2/],
      [() => matrix.assign_(vector), ShapeError, /assign_: source expects \(2, 3\), got \(3\)/],
      [() => matrix.assign_(double), DTypeError, /assign_: source expects float32, got float64/],
      [() => gone.dataSync(), DisposedError, freed],
      [() => gone.item(), ShapeError, /item: expects one element/],
      [
        () => t.setDefaultBackend(wrong('wasm')),
        ArgumentError,
        /setDefaultBackend: backend expects a Backend such as wasm/,
      ],
    ],
    'unary elementwise': [
      [() => t.relu(wrong([1, 2])), ArgumentError, /relu: input 0 expects a Tensor, got an array/],
      [() => t.relu(wrong(undefined)), ArgumentError, /relu: expects at least one tensor, got none/],
      [() => t.relu(gone), DisposedError, /relu: input 0 \(Tensor #\d+ \(2, 3\) float32\) was used after it was freed/],
      [() => t.sigmoid(whole), DTypeError, /sigmoid: x expects float32 or float64, got int32/],
      [() => t.exp(truth), DTypeError, /exp: x expects float32 or float64, got bool/],
      [() => t.sqrt(whole), DTypeError, /sqrt: x expects float32 or float64, got int32/],
      [() => t.gelu(whole), DTypeError, /gelu: x expects float32 or float64, got int32/],
      [
        () => t.gelu(matrix, { approximate: wrong('sigmoid') }),
        ArgumentError,
        /gelu: approximate expects 'none' or 'tanh', got sigmoid/,
      ],
      [() => t.neg(truth), DTypeError, /neg: expects numbers, got only bool/],
      [
        () => t.leakyRelu(matrix, Number.NaN),
        ArgumentError,
        /leakyRelu: negativeSlope expects a number of at least -Infinity, got NaN/,
      ],
      [() => t.elu(matrix, wrong('1')), ArgumentError, /elu: alpha expects a number/],
      [
        () => t.softplus(matrix, { beta: 0 }),
        ArgumentError,
        /softplus: beta expects a number of at least 5e-324, got 0/,
      ],
      [() => t.clamp(matrix, {}), ArgumentError, /clamp: bounds expects min, max or both, got neither/],
      [() => t.clamp(matrix, wrong(undefined)), ArgumentError, /clamp: bounds expects min, max or both/],
      [() => t.clamp(matrix, { min: Number.NaN }), ArgumentError, /clamp: min expects a number/],
      [() => t.logicalNot(matrix), DTypeError, /logicalNot: x expects bool, got float32/],
      [() => t.elementwise('mine', (a, b) => t.f.add(a, b))(matrix), ArgumentError, /mine: expects 2 tensors, got 1/],
    ],
    'binary elementwise': [
      [
        () => t.add(matrix, ones(2, 2)),
        ShapeError,
        /add: shapes \(2, 3\) and \(2, 2\) do not broadcast: 3 and 2 differ/,
      ],
      [() => t.mul(ones(4, 1, 3), ones(2, 2)), ShapeError, /mul: shapes \(4, 1, 3\) and \(2, 2\) do not broadcast/],
      [
        () => t.add(matrix, double),
        DTypeError,
        /add: input 1 expects float32 as the input before, got float64; convert one with to\(\)/,
      ],
      [() => t.sub(matrix, whole), DTypeError, /sub: input 1 expects float32 as the input before, got int32/],
      [() => t.div(whole, whole), DTypeError, /div: input 0 expects float32 or float64, got int32/],
      [() => t.pow(whole, 3), DTypeError, /pow: x expects float32 or float64, got int32/],
      [() => t.add(truth, truth), DTypeError, /add: expects numbers, got only bool; convert with to\(\)/],
      [() => t.add(1, 2), ArgumentError, /add: expects at least one tensor, got two numbers/],
      [() => t.add(matrix, wrong('1')), ArgumentError, /add: input 1 expects a Tensor, got a string/],
      [() => t.mul(whole, 0.5), DTypeError, /mul: expects whole numbers with int32, got 0.5; convert with to\(\)/],
      [() => t.clamp(whole, { min: 0.5 }), DTypeError, /clamp: expects whole numbers with int32, got 0.5/],
      [() => t.mul(wrong(null), matrix), ArgumentError, /mul: input 0 expects a Tensor, got null/],
      [() => t.sub(matrix, wrong(undefined)), ArgumentError, /sub: input 1 expects a Tensor, got undefined/],
      [() => t.maximum(matrix, gone), DisposedError, freed],
      [() => t.mul(matrix, elsewhere), BackendError, mixed('mul')],
      [() => t.lt(matrix, elsewhere), BackendError, mixed('lt')],
      [() => t.eq(matrix, ones(4)), ShapeError, /eq: shapes \(2, 3\) and \(4\) do not broadcast/],
      [() => t.logicalAnd(truth, matrix), DTypeError, /logicalAnd: input 1 expects bool, got float32/],
      [() => t.where(matrix, matrix, matrix), DTypeError, /where: condition expects bool, got float32/],
      [
        () => t.where(truth, 1, 2),
        ArgumentError,
        /where: expects at least one tensor beside the condition, got two numbers/,
      ],
      [() => t.where(wrong(1), matrix, matrix), ArgumentError, /where: condition expects a Tensor, got a number/],
      [() => t.where(truth, matrix, ones(4)), ShapeError, /where: shapes .* do not broadcast/],
      [
        () => t.where(truth, matrix, double),
        DTypeError,
        /where: input 2 expects float32 as the input before, got float64/,
      ],
    ],
    conv2d: [
      [() => t.conv2d(matrix, kernel), ShapeError, /conv2d: x expects rank 4 \(N, C, H, W\), got \(2, 3\)/],
      [
        () => t.conv2d(image, ones(6, 4, 3)),
        ShapeError,
        /conv2d: weight expects rank 4 \(O, C\/groups, kh, kw\), got \(6, 4, 3\)/,
      ],
      [() => t.conv2d(image, ones(6, 3, 3, 3)), ShapeError, /conv2d: weight expects 4 input channels, got 3/],
      [
        () => t.conv2d(image, ones(6, 4, 3, 3), undefined, { groups: 2 }),
        ShapeError,
        /conv2d: weight expects 2 input channels \(4 channels in 2 groups\), got 4/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { groups: 3 }),
        ShapeError,
        /conv2d: groups expects a divisor of 4 input and 6 output channels, got 3/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { groups: 0 }),
        ArgumentError,
        /conv2d: groups expects an integer of at least 1, got 0/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { stride: 0 }),
        ArgumentError,
        /conv2d: stride expects an integer of at least 1, got 0/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { stride: [1, 1.5] }),
        ArgumentError,
        /conv2d: stride expects an integer of at least 1, got 1.5/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { stride: wrong([1, 1, 1]) }),
        ArgumentError,
        /conv2d: stride expects a number or \[height, width\], got \[1,1,1\]/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { padding: -1 }),
        ArgumentError,
        /conv2d: padding expects an integer of at least 0, got -1/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { padding: wrong('valid') }),
        ArgumentError,
        /conv2d: padding expects numbers or 'same', got 'valid'/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { padding: wrong([1, 2, 3]) }),
        ArgumentError,
        /conv2d: padding expects a number or \[height, width\]/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { dilation: 0 }),
        ArgumentError,
        /conv2d: dilation expects an integer of at least 1, got 0/,
      ],
      [
        () => t.conv2d(image, ones(6, 4, 7, 7)),
        ShapeError,
        /conv2d: x of height and width \(5, 5\) is smaller than the kernel's span \(7, 7\)/,
      ],
      [
        () => t.conv2d(image, kernel, undefined, { dilation: 3 }),
        ShapeError,
        /is smaller than the kernel's span \(7, 7\)/,
      ],
      [() => t.conv2d(image, ones(6, 4, 0, 3)), ShapeError, /conv2d: weight has an empty kernel/],
      [() => t.conv2d(image, kernel, ones(5)), ShapeError, /conv2d: bias expects \(6\), got \(5\)/],
      [() => t.conv2d(image, kernel, ones(6, 1)), ShapeError, /conv2d: bias expects \(6\), got \(6, 1\)/],
      [() => t.conv2d(wholeImage, kernel), DTypeError, /conv2d: x expects float32 or float64, got int32/],
      [() => t.conv2d(doubleImage, kernel), DTypeError, /conv2d: weight expects float64, got float32/],
      [
        () => t.conv2d(image, kernel, t.ones([6], { dtype: 'float64', backend })),
        DTypeError,
        /conv2d: bias expects float32, got float64/,
      ],
      [() => t.conv2d(imageElsewhere, kernel), BackendError, mixed('conv2d')],
      [() => t.conv2d(goneImage, kernel), DisposedError, freed],
      [() => t.conv2d(image, wrong([[1]])), ArgumentError, /conv2d: weight expects a Tensor, got an array/],
      [() => t.conv2d(wrong(undefined), kernel), ArgumentError, /conv2d: x expects a Tensor, got undefined/],
    ],
    convTranspose2d: [
      [() => t.convTranspose2d(matrix, kernel), ShapeError, /convTranspose2d: x expects rank 4/],
      [
        () => t.convTranspose2d(image, ones(4)),
        ShapeError,
        /convTranspose2d: weight expects rank 4 \(C, O\/groups, kh, kw\)/,
      ],
      [
        () => t.convTranspose2d(image, ones(3, 2, 3, 3)),
        ShapeError,
        /convTranspose2d: weight expects 4 input channels/,
      ],
      [
        () => t.convTranspose2d(image, ones(4, 2, 3, 3), undefined, { groups: 3 }),
        ShapeError,
        /convTranspose2d: weight expects 4 input channels in 3 equal groups/,
      ],
      [
        () => t.convTranspose2d(image, ones(4, 2, 3, 3), ones(3)),
        ShapeError,
        /convTranspose2d: bias expects \(2\), got \(3\)/,
      ],
      [
        () => t.convTranspose2d(image, ones(4, 2, 3, 3), undefined, { outputPadding: 1 }),
        ArgumentError,
        /convTranspose2d: outputPadding expects less than stride or dilation, got 1/,
      ],
      [
        () => t.convTranspose2d(image, ones(4, 2, 3, 3), undefined, { padding: 5 }),
        ShapeError,
        /convTranspose2d: padding 5 leaves nothing of the 7 cells/,
      ],
      [
        () => t.convTranspose2d(image, ones(4, 2, 3, 3), undefined, { stride: -1 }),
        ArgumentError,
        /convTranspose2d: stride expects an integer of at least 1/,
      ],
      [
        () => t.convTranspose2d(wholeImage, ones(4, 2, 3, 3)),
        DTypeError,
        /convTranspose2d: x expects float32 or float64/,
      ],
      [() => t.convTranspose2d(imageElsewhere, ones(4, 2, 3, 3)), BackendError, /inputs lie on different backends/],
      [() => t.convTranspose2d(goneImage, ones(4, 2, 3, 3)), DisposedError, freed],
    ],
    pooling: [
      [() => t.maxPool2d(matrix, 2), ShapeError, /maxPool2d: x expects rank 4 \(N, C, H, W\), got \(2, 3\)/],
      [() => t.maxPool2d(image, 0), ArgumentError, /maxPool2d: kernel expects an integer of at least 1, got 0/],
      [() => t.maxPool2d(image, 6), ShapeError, /maxPool2d: x of size 5 is smaller than kernel 6/],
      [() => t.maxPool2d(image, 2, { stride: 0 }), ArgumentError, /maxPool2d: stride expects an integer of at least 1/],
      [
        () => t.maxPool2d(image, 2, { padding: 2 }),
        ArgumentError,
        /maxPool2d: padding expects at most half of kernel 2, got 2/,
      ],
      [() => t.maxPool2d(image, 2, { dilation: 2 }), ArgumentError, /maxPool2d: dilation expects 1, got \[2, 2\]/],
      [() => t.maxPool2d(wholeImage, 2), DTypeError, /maxPool2d: x expects float32 or float64, got int32/],
      [() => t.maxPool2d(goneImage, 2), DisposedError, freed],
      [() => t.maxPool2d(wrong('image'), 2), ArgumentError, /maxPool2d: x expects a Tensor, got a string/],
      [() => t.maxPool2dWithIndices(matrix, 2), ShapeError, /maxPool2d: x expects rank 4/],
      [() => t.avgPool2d(vector, 2), ShapeError, /avgPool2d: x expects rank 4/],
      [() => t.avgPool2d(image, [2, -1]), ArgumentError, /avgPool2d: kernel expects an integer of at least 1, got -1/],
      [
        () => t.avgPool2d(image, 3, { padding: 2 }),
        ArgumentError,
        /avgPool2d: padding expects at most half of kernel 3, got 2/,
      ],
      [() => t.avgPool2d(wholeImage, 2), DTypeError, /avgPool2d: x expects float32 or float64/],
      [() => t.avgPool2d(image, wrong(undefined)), ArgumentError, /avgPool2d: kernel expects/],
      [() => t.adaptiveAvgPool2d(matrix, 1), ShapeError, /adaptiveAvgPool2d: x expects rank 4/],
      [() => t.adaptiveAvgPool2d(image, 0), ArgumentError, /adaptiveAvgPool2d: size expects an integer of at least 1/],
      [() => t.adaptiveAvgPool2d(ones(1, 2, 0, 3), 1), ShapeError, /adaptiveAvgPool2d: x expects at least one cell/],
      [
        () => t.adaptiveMaxPool2d(image, wrong([1])),
        ArgumentError,
        /adaptiveMaxPool2d: size expects a number or \[height, width\], got \[1\]/,
      ],
      [() => t.adaptiveMaxPool2d(wholeImage, 2), DTypeError, /adaptiveMaxPool2d: x expects float32 or float64/],
      [() => t.globalAvgPool2d(vector), ShapeError, /adaptiveAvgPool2d: x expects rank 4/],
      [() => t.interpolate(matrix, 2), ShapeError, /interpolate: x expects rank 4/],
      [() => t.interpolate(image, 0), ArgumentError, /interpolate: size expects an integer of at least 1/],
      [
        () => t.interpolate(image, 2, { mode: wrong('bicubic') }),
        ArgumentError,
        /interpolate: mode expects 'nearest' or 'bilinear', got bicubic/,
      ],
      [
        () => t.interpolate(image, 2, { alignCorners: true }),
        ArgumentError,
        /interpolate: alignCorners expects mode bilinear, got nearest/,
      ],
      [() => t.interpolate(wholeImage, 2), DTypeError, /interpolate: x expects float32 or float64/],
      [() => t.interpolate(ones(1, 1, 0, 2), 2), ShapeError, /interpolate: x expects at least one cell/],
    ],
    products: [
      [
        () => t.matmul(matrix, matrix),
        ShapeError,
        /matmul: b expects 3 rows, as a of shape \(2, 3\) has columns, got 2 in \(2, 3\)/,
      ],
      [() => t.matmul(scalar, matrix), ShapeError, /matmul: expects at least rank 1, got \(\) and \(2, 3\)/],
      [() => t.matmul(vector, ones(4)), ShapeError, /matmul: b expects 3 rows/],
      [() => t.matmul(ones(2, 2, 3), ones(3, 3, 4)), ShapeError, /matmul: shapes \(2\) and \(3\) do not broadcast/],
      [() => t.matmul(whole, ones(3, 2)), DTypeError, /matmul: a expects float32 or float64, got int32/],
      [() => t.matmul(double, ones(3, 2)), DTypeError, /matmul: b expects float64, got float32/],
      [() => t.matmul(elsewhere, ones(3, 2)), BackendError, mixed('matmul')],
      [() => t.matmul(gone, ones(3, 2)), DisposedError, freed],
      [() => t.matmul(matrix, wrong(3)), ArgumentError, /matmul: b expects a Tensor, got a number/],
      [() => t.linear(matrix, ones(4, 5)), ShapeError, /linear: x expects 5 features, as weight \(4, 5\) has, got 3/],
      [() => t.linear(matrix, vector), ShapeError, /linear: weight expects rank 2 \(out, in\), got \(3\)/],
      [() => t.linear(scalar, ones(4, 3)), ShapeError, /linear: x expects at least rank 1/],
      [() => t.linear(matrix, ones(4, 3), ones(3)), ShapeError, /linear: bias expects \(4\), got \(3\)/],
      [() => t.linear(whole, ones(4, 3)), DTypeError, /linear: x expects float32 or float64, got int32/],
      [() => t.linear(double, ones(4, 3)), DTypeError, /linear: weight expects float64, got float32/],
      [() => t.linear(elsewhere, ones(4, 3)), BackendError, mixed('linear')],
      [() => t.linear(ones(2, 2, 2, 3), ones(4, 3), gone), DisposedError, freed],
    ],
    normalisation: [
      [() => t.batchNormTraining(vector), ShapeError, /batchNorm: x expects at least rank 2 \(N, C\), got \(3\)/],
      [() => t.batchNormTraining(image, ones(3)), ShapeError, /batchNorm: weight expects \(4\), got \(3\)/],
      [() => t.batchNormTraining(image, undefined, ones(5)), ShapeError, /batchNorm: bias expects \(4\), got \(5\)/],
      [
        () => t.batchNormTraining(ones(1, 4)),
        ShapeError,
        /batchNorm: x expects more than one value per channel in training, got \(1, 4\)/,
      ],
      [
        () => t.batchNormTraining(image, undefined, undefined, { eps: -1 }),
        ArgumentError,
        /batchNorm: eps expects a number of at least 0, got -1/,
      ],
      [() => t.batchNormTraining(wholeImage), DTypeError, /batchNorm: x expects float32 or float64, got int32/],
      [() => t.batchNormTraining(doubleImage, ones(4)), DTypeError, /batchNorm: weight expects float64, got float32/],
      [() => t.batchNormTraining(goneImage), DisposedError, freed],
      [() => t.batchNormTraining(imageElsewhere, ones(4)), BackendError, mixed('batchNorm')],
      [
        () => t.batchNormTraining(image, wrong([1, 1, 1, 1])),
        ArgumentError,
        /batchNorm: weight expects a Tensor, got an array/,
      ],
      [
        () => t.batchNormInference(image, ones(3), ones(4)),
        ShapeError,
        /batchNorm: weight expects \(4\), got \(3\)|batchNorm: mean expects \(4\), got \(3\)/,
      ],
      [
        () => t.batchNormInference(image, wrong(undefined), ones(4)),
        ArgumentError,
        /batchNorm: mean expects a Tensor, got undefined/,
      ],
      [() => t.batchNormInference(wholeImage, ones(4), ones(4)), DTypeError, /batchNorm: x expects float32 or float64/],
      [() => t.batchNormInference(doubleImage, ones(4), ones(4)), DTypeError, /float64/],
      [() => t.batchNormInference(imageElsewhere, ones(4), ones(4)), BackendError, /inputs lie on different backends/],
      [() => t.layerNorm(matrix, [2]), ShapeError, /layerNorm: x expects \(2\) as its last axes, got \(2, 3\)/],
      [() => t.layerNorm(matrix, []), ShapeError, /layerNorm: x expects \(\) as its last axes/],
      [() => t.layerNorm(matrix, [3], ones(2)), ShapeError, /layerNorm: weight expects \(3\), got \(2\)/],
      [() => t.layerNorm(matrix, wrong(3)), ShapeError, /layerNorm: shape expects an array of integers, got 3/],
      [() => t.layerNorm(whole, [3]), DTypeError, /layerNorm: x expects float32 or float64/],
      [() => t.groupNorm(image, 3), ShapeError, /groupNorm: groups expects a divisor of 4 channels, got 3/],
      [() => t.groupNorm(image, 0), ArgumentError, /groupNorm: groups expects an integer of at least 1/],
      [() => t.groupNorm(image, 2, ones(2)), ShapeError, /groupNorm: weight expects \(4\), got \(2\)/],
      [() => t.groupNorm(wholeImage, 2), DTypeError, /groupNorm: x expects float32 or float64/],
      [() => t.instanceNorm(matrix), ShapeError, /instanceNorm: x expects at least rank 3/],
      [() => t.instanceNorm(ones(2, 3, 1, 1)), ShapeError, /instanceNorm: x expects more than one spatial cell/],
      [() => t.instanceNorm(image, ones(1)), ShapeError, /instanceNorm: weight expects \(4\)/],
      [() => t.localResponseNorm(matrix, { size: 5 }), ShapeError, /localResponseNorm: x expects at least rank 3/],
      [
        () => t.localResponseNorm(image, { size: 0 }),
        ArgumentError,
        /localResponseNorm: size expects an integer of at least 1/,
      ],
      [
        () => t.localResponseNorm(image, { size: 5, alpha: Number.NaN }),
        ArgumentError,
        /localResponseNorm: alpha expects a number/,
      ],
      [
        () => t.localResponseNorm(wholeImage, { size: 5 }),
        DTypeError,
        /localResponseNorm: x expects float32 or float64/,
      ],
      [() => t.softmax(matrix, { dim: 2 }), ShapeError, /softmax: dim expects an integer from -2 to 1, got 2/],
      [() => t.softmax(whole), DTypeError, /softmax: x expects float32 or float64, got int32/],
      [() => t.softmax(scalar), ShapeError, /softmax: dim expects none \(a scalar has no axes\), got -1/],
      [() => t.logSoftmax(matrix, { dim: -3 }), ShapeError, /logSoftmax: dim expects an integer from -2 to 1, got -3/],
      [() => t.logSoftmax(gone), DisposedError, freed],
      [() => t.l2Normalize(matrix, { eps: -1 }), ArgumentError, /l2Normalize: eps expects a number of at least 0/],
      [() => t.l2Normalize(vector), ShapeError, /l2Normalize: dim expects an integer from -1 to 0, got 1/],
      [() => t.l2Normalize(whole), DTypeError, /l2Normalize: x expects float32 or float64/],
    ],
    losses: [
      [
        () => t.crossEntropy(vector, ints([0])),
        ShapeError,
        /crossEntropy: logits expects at least rank 2 \(N, C\), got \(3\)/,
      ],
      [
        () => t.crossEntropy(matrix, ints([0, 1, 2])),
        ShapeError,
        /crossEntropy: target expects \(2\) for logits \(2, 3\), got \(3\)/,
      ],
      [() => t.crossEntropy(matrix, ints([0, 3])), ArgumentError, /crossEntropy: target .*3/],
      [() => t.crossEntropy(matrix, ints([-1, 0])), ArgumentError, /crossEntropy: target .*-1/],
      [() => t.crossEntropy(matrix, ones(2)), ShapeError, /crossEntropy: target expects \(2, 3\) for logits/],
      [
        () => t.crossEntropy(matrix, truth),
        DTypeError,
        /crossEntropy: target expects int32 class indices or float32 probabilities, got bool/,
      ],
      [() => t.crossEntropy(matrix, double), DTypeError, /crossEntropy: target expects float32, got float64/],
      [
        () => t.crossEntropy(whole, ints([0, 1])),
        DTypeError,
        /crossEntropy: logits expects float32 or float64, got int32/,
      ],
      [
        () => t.crossEntropy(matrix, ints([0, 1]), { labelSmoothing: 1.5 }),
        ArgumentError,
        /crossEntropy: labelSmoothing expects a number from 0 to 1, got 1.5/,
      ],
      [
        () => t.crossEntropy(matrix, ints([0, 1]), { reduction: wrong('batchmean') }),
        ArgumentError,
        /crossEntropy: reduction expects 'mean', 'sum' or 'none', got 'batchmean'/,
      ],
      [
        () => t.crossEntropy(matrix, ints([0, 1]), { weight: ones(2) }),
        ShapeError,
        /crossEntropy: weight expects \(3\), got \(2\)/,
      ],
      [
        () => t.crossEntropy(matrix, ints([0, 1]), { weight: ints([1, 1, 1]) }),
        DTypeError,
        /crossEntropy: weight expects float32, got int32/,
      ],
      [() => t.crossEntropy(elsewhere, ints([0, 1])), BackendError, mixed('crossEntropy')],
      [() => t.crossEntropy(gone, ints([0, 1])), DisposedError, freed],
      [
        () => t.crossEntropy(matrix, wrong([0, 1])),
        ArgumentError,
        /crossEntropy: target expects a Tensor, got an array/,
      ],
      [() => t.mseLoss(matrix, vector), ShapeError, /mseLoss: y expects \(2, 3\) as x has, got \(3\)/],
      [() => t.mseLoss(whole, whole), DTypeError, /mseLoss: x expects float32 or float64, got int32/],
      [() => t.mseLoss(matrix, double), DTypeError, /float64/],
      [() => t.mseLoss(matrix, matrix, { reduction: wrong('max') }), ArgumentError, /mseLoss: reduction expects/],
      [() => t.mseLoss(matrix, elsewhere), BackendError, /inputs lie on different backends/],
    ],
    reductions: [
      [() => t.sum(matrix, { dim: 2 }), ShapeError, /sum: dim expects an integer from -2 to 1, got 2/],
      [() => t.sum(matrix, { dim: [0, 0] }), ShapeError, /sum: dim names an axis twice: \[0, 0\]/],
      [() => t.sum(matrix, { dim: 0.5 }), ShapeError, /sum: dim expects an integer from -2 to 1, got 0.5/],
      [() => t.sum(matrix, { dim: wrong('rows') }), ShapeError, /sum: dim expects an integer from -2 to 1, got rows/],
      [() => t.amax(truth), DTypeError, /amax: x expects numbers, got bool; convert with to\(\)/],
      [() => t.sum(gone), DisposedError, freed],
      [() => t.sum(wrong([1])), ArgumentError, /sum: x expects a Tensor, got an array/],
      [() => t.mean(whole), DTypeError, /mean: x expects float32 or float64, got int32/],
      [() => t.mean(matrix, { dim: -3 }), ShapeError, /mean: dim expects/],
      [() => t.variance(whole), DTypeError, /variance: x expects float32 or float64/],
      [() => t.std(matrix, { dim: 5 }), ShapeError, /variance: dim expects|std: dim expects/],
      [() => t.amax(ones(2, 0), { dim: 1 }), ShapeError, /amax: x of shape \(2, 0\) has nothing to choose from/],
      [() => t.amin(truth), DTypeError, /amin: x expects numbers, got bool/],
      [() => t.max(matrix, 2), ShapeError, /max: dim expects an integer from -2 to 1, got 2/],
      [() => t.min(ones(0, 2), 0), ShapeError, /argmin: x expects/],
      [() => t.argmax(matrix, { dim: 7 }), ShapeError, /argmax: dim expects/],
      [() => t.argmax(ones(0)), ShapeError, /argmax: x expects/],
      [() => t.argmin(truth), DTypeError, /argmin: x expects numbers, got bool/],
      [() => t.topk(matrix, 4), ShapeError, /topk: k expects at most the 3 elements along axis 1, got 4/],
      [() => t.topk(matrix, 0), ArgumentError, /topk: k expects an integer of at least 1, got 0/],
      [() => t.topk(matrix, 1, { dim: 3 }), ShapeError, /topk: dim expects/],
      [() => t.norm(matrix, { p: 0 }), ArgumentError, /norm: p expects a number of at least/],
      [() => t.norm(whole), DTypeError, /norm: x expects float32 or float64/],
    ],
    shapes: [
      [() => t.reshape(matrix, [4]), ShapeError, /reshape: 6 elements of \(2, 3\) do not fill \(4\)/],
      [() => t.reshape(matrix, [-1, 4]), ShapeError, /reshape: 6 elements of \(2, 3\) do not fill \(-1, 4\)/],
      [() => t.reshape(matrix, [-1, -1]), ShapeError, /reshape: shape has more than one -1/],
      [() => t.reshape(matrix, [-2, -3]), ShapeError, /reshape: shape expects non-negative integers/],
      [() => t.reshape(matrix, wrong(6)), ShapeError, /reshape: shape expects an array of integers, got 6/],
      [() => t.reshape(gone, [6]), DisposedError, freed],
      [() => t.flatten(matrix, 2), ShapeError, /flatten: startDim expects an integer from -2 to 1, got 2/],
      [() => t.flatten(matrix, 1, 0), ShapeError, /flatten: startDim expects at most endDim 0, got 1/],
      [() => t.unsqueeze(matrix, 4), ShapeError, /unsqueeze: dim expects an integer from -3 to 2, got 4/],
      [() => t.squeeze(matrix, 2), ShapeError, /squeeze: dim expects/],
      [() => t.permute(matrix, [0]), ShapeError, /permute: dims expects every one of 2 axes once, got \[0\]/],
      [() => t.permute(matrix, [0, 0]), ShapeError, /permute: dims expects every one of 2 axes once, got \[0, 0\]/],
      [() => t.permute(matrix, [0, 2]), ShapeError, /permute: dims expects an integer from -2 to 1, got 2/],
      [
        () => t.permute(matrix, wrong(undefined)),
        ShapeError,
        /permute: dims expects an array of integers, got undefined/,
      ],
      [() => t.transpose(matrix, 0, 2), ShapeError, /transpose: dim1 expects/],
      [() => t.expand(matrix, [2, 4]), ShapeError, /expand: x of shape \(2, 3\) does not repeat to \(2, 4\)/],
      [() => t.expand(matrix, [3]), ShapeError, /expand: x of shape \(2, 3\) does not repeat to \(3\)/],
      [() => t.pixelRows(matrix), ShapeError, /pixelRows: x expects rank 4/],
      [
        () => t.fromPixelRows(matrix, [1, 2, 1, 3]),
        ShapeError,
        /fromPixelRows: x expects \(N \* H \* W, C\) for \(1, 2, 1, 3\), got \(2, 3\)/,
      ],
      [
        () => t.slice(matrix, [[], [], []]),
        ShapeError,
        /slice: ranges expects at most 2 for x of shape \(2, 3\), got 3/,
      ],
      [
        () => t.slice(matrix, wrong([0, 1])),
        ArgumentError,
        /slice: range of axis 0 expects \[start, end, step\], got 0/,
      ],
      [() => t.slice(matrix, [[0.5]]), ArgumentError, /slice: range of axis 0 expects integers, got 0.5/],
      [
        () => t.slice(matrix, [[0, 2, 0]]),
        ArgumentError,
        /slice: step of axis 0 expects an integer of at least 1, got 0/,
      ],
      [
        () => t.slice(matrix, wrong(undefined)),
        ArgumentError,
        /slice: ranges expects an array of ranges, got undefined/,
      ],
      [
        () => t.narrow(matrix, 1, 2, 2),
        ShapeError,
        /narrow: start \+ length expects at most 3 along axis 1, got 2 \+ 2/,
      ],
      [() => t.narrow(matrix, 1, -1, 2), ArgumentError, /narrow: start expects an integer of at least 0, got -1/],
      [() => t.select(matrix, 0, 2), ShapeError, /select: index expects an integer from -2 to 1, got 2/],
      [() => t.pad(matrix, [1]), ArgumentError, /pad: padding expects pairs for at most 2 axes, got 1 numbers/],
      [
        () => t.pad(matrix, [0, 0, 0, 0, 1, 1]),
        ArgumentError,
        /pad: padding expects pairs for at most 2 axes, got 6 numbers/,
      ],
      [() => t.pad(matrix, [0.5, 0]), ArgumentError, /pad: padding expects integers, got 0.5/],
      [() => t.pad(matrix, [-2, -2]), ShapeError, /pad: padding \[-2, -2\] crops more than x of shape \(2, 3\) has/],
      [() => t.pad(matrix, [-5, 4]), ShapeError, /pad: padding \[-5, 4\] crops more than x/],
      [() => t.cat([]), ArgumentError, /cat: tensors expects at least one tensor, got none/],
      [() => t.cat(wrong(matrix)), ArgumentError, /cat: tensors expects at least one tensor, got object/],
      [() => t.cat([matrix, vector]), ShapeError, /cat: input 1 expects the shape \(2, 3\) outside axis 0, got \(3\)/],
      [() => t.cat([matrix, double], 1), DTypeError, /cat: input 1 expects float32, got float64/],
      [() => t.cat([matrix, matrix], 2), ShapeError, /cat: dim expects/],
      [() => t.cat([matrix, elsewhere]), BackendError, mixed('cat')],
      [() => t.cat([matrix, gone]), DisposedError, freed],
      [() => t.cat([matrix, wrong(undefined)]), ArgumentError, /cat: tensor 1 expects a Tensor, got undefined/],
      [() => t.stack([]), ArgumentError, /stack: tensors expects at least one tensor, got none/],
      [() => t.stack([matrix, vector]), ShapeError, /stack: tensor 1 expects the shape \(2, 3\), got \(3\)/],
      [() => t.stack([matrix, matrix], 3), ShapeError, /stack: dim expects an integer from -3 to 2, got 3/],
      [() => t.stack([matrix, elsewhere]), BackendError, /inputs lie on different backends/],
      [() => t.split(matrix, 0), ArgumentError, /split: sizes expects an integer of at least 1, got 0/],
      [() => t.split(matrix, [1, 2]), ShapeError, /split: sizes expects a sum of 2, the extent of axis 0, got 3/],
      [() => t.split(matrix, [3, -1]), ArgumentError, /split: sizes expects an integer of at least 0, got -1/],
      [() => t.chunk(matrix, 0), ArgumentError, /chunk: chunks expects an integer of at least 1, got 0/],
      [() => t.flip(matrix, 2), ShapeError, /flip: dim expects/],
      [() => t.flip(matrix, [0, 0]), ShapeError, /flip: dim names an axis twice/],
    ],
    indices: [
      [() => t.gather(matrix, 1, ints([0])), ShapeError, /gather: index expects rank 2/],
      [
        () => t.gather(matrix, 1, ints([[0], [1], [2]])),
        ShapeError,
        /gather: index expects rank 2 and at most the extents of x \(2, 3\) outside axis 1, got \(3, 1\)/,
      ],
      [() => t.gather(matrix, 1, ones(2, 1)), DTypeError, /gather: index expects int32, got float32/],
      [() => t.gather(matrix, 1, ints([[3], [0]])), ArgumentError, /gather: index .*3/],
      [() => t.gather(matrix, 0, ints([[-1]])), ArgumentError, /gather: index .*-1/],
      [() => t.gather(matrix, 2, ints([[0]])), ShapeError, /gather: dim expects/],
      [() => t.gather(elsewhere, 1, ints([[0], [0]])), BackendError, mixed('gather')],
      [() => t.indexSelect(matrix, 1, ints([[0]])), ShapeError, /indexSelect: index expects rank 1, got \(1, 1\)/],
      [() => t.indexSelect(matrix, 1, vector), DTypeError, /indexSelect: index expects int32, got float32/],
      [() => t.indexSelect(matrix, 1, ints([0, 9])), ArgumentError, /index .*9/],
      [
        () => t.scatterAdd([2, 2], 1, ints([[0], [1]]), matrix),
        ShapeError,
        /scatterAdd: index and values expect one shape that fits \(2, 2\)/,
      ],
      [
        () =>
          t.scatterAdd(
            [2, 2],
            1,
            ints([
              [0, 1, 2],
              [0, 0, 0],
            ]),
            matrix,
          ),
        ArgumentError,
        /scatterAdd: index .*2/,
      ],
      [
        () => t.scatterAdd(wrong(4), 0, ints([0]), vector),
        ShapeError,
        /scatterAdd: shape expects an array of integers, got 4/,
      ],
      [() => t.embedding(ints([0]), vector), ShapeError, /embedding: weight expects rank 2 \(V, D\), got \(3\)/],
      [() => t.embedding(vector, matrix), DTypeError, /embedding: index expects int32, got float32/],
      [() => t.embedding(ints([2]), matrix), ArgumentError, /index .*2/],
      [() => t.oneHot(vector, 3), DTypeError, /oneHot: index expects int32, got float32/],
      [() => t.oneHot(ints([3]), 3), ArgumentError, /index .*3/],
      [() => t.oneHot(ints([0]), 0), ArgumentError, /oneHot: classes expects an integer of at least 1, got 0/],
    ],
    dropout: [
      [() => t.dropout(matrix, { p: 1.1 }), ArgumentError, /dropout: p expects a number from 0 to 1, got 1.1/],
      [() => t.dropout(matrix, { p: Number.NaN }), ArgumentError, /dropout: p expects a number from 0 to 1, got NaN/],
      [() => t.dropout(whole), DTypeError, /dropout: x expects float32 or float64, got int32/],
      [() => t.dropout(gone), DisposedError, freed],
      [() => t.dropout(wrong(null)), ArgumentError, /dropout: x expects a Tensor, got null/],
      [() => t.dropout2d(matrix, { p: -1 }), ArgumentError, /dropout2d: p expects a number from 0 to 1, got -1/],
      [() => t.dropPath(matrix, { p: 2 }), ArgumentError, /dropPath: p expects a number from 0 to 1, got 2/],
    ],
    update: [
      [() => t.update([t.f.input(0)], wrong(matrix)), ArgumentError, /update: targets expects an array, got object/],
      [
        () => t.update([], []),
        ArgumentError,
        /update: formulas expects one for each of at least one target, got 0 for 0/,
      ],
      [
        () => t.update([t.f.input(0)], [matrix, matrix]),
        ArgumentError,
        /update: formulas expects one for each .*, got 1 for 2/,
      ],
      [() => t.update([t.f.input(0)], [whole]), DTypeError, /update: targets expects float tensors, got int32/],
      [
        () => t.update([t.f.input(0)], [matrix], [vector]),
        ShapeError,
        /update: other 0 expects \(2, 3\) as target 0, got \(3\)/,
      ],
      [
        () => t.update([t.f.input(0)], [matrix], [double]),
        DTypeError,
        /update: other 0 expects float32 as target 0, got float64/,
      ],
      [() => t.update([t.f.input(0)], [matrix], [elsewhere]), BackendError, /update: other 0 lies on/],
      [() => t.update([t.f.input(0)], [gone]), DisposedError, /update: target 0 .* was used after it was freed/],
      [
        () => t.updateEach([t.f.input(0)], [{ targets: [matrix] }, { targets: [vector, matrix] }]),
        ArgumentError,
        /updateEach: set 1: formulas expects one for each .*, got 1 for 2/,
      ],
      [
        () => t.updateEach([t.f.const(1)], [{ targets: [matrix] }, { targets: [vector], others: [matrix] }]),
        ShapeError,
        /updateEach: set 1: other 0 expects \(3\) as target 0, got \(2, 3\)/,
      ],
      [() => t.updateEach([t.f.input(0)], wrong(5)), ArgumentError, /updateEach: updates expects an array, got number/],
      [
        () => t.updateEach([t.f.input(0)], [{ targets: [matrix] }, { targets: [wrong(3)] }]),
        ArgumentError,
        /updateEach: set 1: target 0 expects a Tensor, got a number/,
      ],
      [
        () => t.batchNormInference(matrix, vector, vector, undefined, undefined, { activation: wrong('relu') }),
        ArgumentError,
        /batchNorm: activation expects a function such as relu, got relu/,
      ],
      [
        () => t.updateEach([t.f.input(0)], [{ targets: [whole] }]),
        DTypeError,
        /updateEach: set 0: targets expects float tensors, got int32/,
      ],
    ],
    gradients: [
      [() => matrix.backward(), GradientError, /backward: .* requires no gradient/],
      [() => t.grad(matrix, [matrix]), GradientError, /grad: input 0 .* requires no gradient/],
      [
        () => {
          whole.requiresGrad = true
        },
        DTypeError,
        /requiresGrad: expects a float tensor/,
      ],
      [
        () => {
          matrix.grad = vector
        },
        ArgumentError,
        /grad: .* expects a gradient of its shape and dtype/,
      ],
      [() => t.checkpoint(wrong('f'), matrix), ArgumentError, /checkpoint: fn expects a function/],
      [() => t.checkpoint(() => matrix, wrong(1)), ArgumentError, /checkpoint: input 0 expects a Tensor, got number/],
    ],
    functions: [
      [() => t.tidy(wrong(3)), ArgumentError, /tidy: fn expects a function, got number/],
      [() => t.noGrad(wrong(undefined)), ArgumentError, /noGrad: fn expects a function, got undefined/],
      [() => t.tidy(async () => 1), ArgumentError, /tidy: fn expects a synchronous function, got an async one/],
      [() => t.noGrad(async () => 1), ArgumentError, /noGrad: fn expects a synchronous function, got an async one/],
      [() => t.enableGrad(async () => 1), ArgumentError, /enableGrad: fn expects a synchronous function/],
      [() => t.seeded(1, async () => 1), ArgumentError, /seeded: fn expects a synchronous function/],
      [() => t.withPrecision('strict', async () => 1), ArgumentError, /withPrecision: fn expects a synchronous/],
      [
        () =>
          t.watchOps(
            wrong(() => {}),
            async () => 1,
          ),
        ArgumentError,
        /watchOps: fn expects a synchronous function/,
      ],
      [
        () =>
          t.checkpoint(
            wrong(async () => matrix),
            matrix,
          ),
        ArgumentError,
        /checkpoint: fn expects a synchronous/,
      ],
      [() => t.record(wrong(async () => matrix)), ArgumentError, /record: fn expects a synchronous function/],
    ],
    settings: [
      [() => t.setThreads(0), ArgumentError, /threads expects/],
      [() => t.setThreads(1.5), ArgumentError, /threads expects/],
      [
        () => t.setPrecision(wrong('exact')),
        ArgumentError,
        /setPrecision: precision expects 'fast' or 'strict', got 'exact'/,
      ],
    ],
  }
}

const both: [string, t.Backend, t.Backend][] = [
  ['reference', t.reference, t.wasm],
  ['wasm', t.wasm, t.reference],
]

describe.each(both)('on %s', (_, backend, other) => {
  const table = cases(backend, other)

  it('has at least 300 cases', () => {
    expect(Object.values(table).flat().length).toBeGreaterThanOrEqual(300)
  })

  it.each(Object.entries(table))('%s', (_name, list) => {
    for (const [call, error, message] of list) {
      const before = t.memory(backend).buffers
      let caught: unknown
      // Tensors that a case makes as arguments are freed by the scope. What an op itself leaves is tested below.
      t.tidy(() => {
        try {
          call()
        } catch (problem) {
          caught = problem
        }
      })
      const what = String(call)
      expect(caught, what).toBeInstanceOf(error)
      expect((caught as Error).message, what).toMatch(message)
      expect((caught as Error).name, what).toBe(error.name)
      expect(t.memory(backend).buffers, what).toBe(before)
    }
  })

  it('leaves no tensor behind when a kernel fails in the middle of an op', () => {
    const logits = t.ones([2, 3, 2, 2], { backend })
    const target = t.tensor(
      [
        [
          [0, 1],
          [2, 3],
        ],
        [
          [0, 0],
          [0, 0],
        ],
      ],
      { dtype: 'int32', backend },
    )
    const weight = t.ones([4, 2], { backend })
    const index = t.tensor([[0, 9]], { dtype: 'int32', backend })
    logits.requiresGrad = true
    weight.requiresGrad = true
    const before = t.memory(backend)
    expect(() => t.crossEntropy(logits, target)).toThrow(ArgumentError)
    expect(() => t.embedding(index, weight)).toThrow(ArgumentError)
    expect(() => t.oneHot(index, 5)).toThrow(ArgumentError)
    expect(() => t.matmul(t.ones([3], { backend }), weight)).toThrow(ShapeError)
    const { tensors, buffers, bytes } = t.memory(backend)
    // The vector of the last call is the test's own.
    expect({ tensors, buffers, bytes }).toEqual({
      tensors: before.tensors + 1,
      buffers: before.buffers + 1,
      bytes: expect.any(Number),
    })
  })

  it('keeps a state that is intact after a failure: the next call works', () => {
    const x = t.tensor([1, 2, 3], { backend })
    expect(() => t.gather(x, 0, t.tensor([7], { dtype: 'int32', backend }))).toThrow(ArgumentError)
    expect([...t.gather(x, 0, t.tensor([2], { dtype: 'int32', backend })).dataSync()]).toEqual([3])
  })
})

it('a tensor that the wasm memory cannot hold is a typed error, and what exists stays intact', () => {
  const x = t.tensor([1, 2, 3], { backend: t.wasm })
  const before = t.memory(t.wasm)
  const huge = (): t.Tensor => t.zeros([1 << 30, 2], { backend: t.wasm })
  expect(huge).toThrow(OutOfMemoryError)
  expect(huge).toThrow(/wasm|memory/)
  const { tensors, buffers, bytes } = t.memory(t.wasm)
  expect({ tensors, buffers, bytes }).toEqual({ tensors: before.tensors, buffers: before.buffers, bytes: before.bytes })
  expect([...x.mul(2).dataSync()]).toEqual([2, 4, 6])
})
