/** What the library wants to reach, and whether this run shows it. */
import { callsPerRun, type Peer } from './cases.ts'
import { type Result, timeOf } from './measure.ts'
import { bandwidthOf, type Report } from './report.ts'

interface Goal {
  readonly what: string
  readonly unit: '%' | 'x' | 'us' | 'ms'
  /** At least; where less is better, at most. */
  readonly wanted: number
  /** Over all cases that it is about, the one that is worst. */
  readonly got: (report: Report) => readonly number[]
}

const of =
  (choose: (result: Result) => boolean, value: (result: Result, report: Report) => number | undefined) =>
  (report: Report): number[] =>
    report.results.filter(choose).flatMap((result) => value(result, report) ?? [])

const peak = (result: Result): number | undefined => {
  const time = timeOf(result, 'ours')
  return time === undefined ? undefined : (100 * result.flops) / time / 1e6 / result.peak
}

const against =
  (peer: Peer) =>
  (result: Result): number | undefined => {
    const [mine, other] = [timeOf(result, 'ours'), timeOf(result, peer)]
    return mine === undefined || other === undefined ? undefined : other / mine
  }

const scaling = (result: Result, { results }: Report): number | undefined => {
  const alone = results.find(({ name, threads }) => name === result.name && threads === 1)
  const [one, two] = [alone && timeOf(alone, 'ours'), timeOf(result, 'ours')]
  return one === undefined || two === undefined ? undefined : one / two
}

const turbo = (result: Result): number | undefined => {
  const [mine, other] = [timeOf(result, 'turbo'), timeOf(result, 'onnxruntime-node')]
  return mine === undefined || other === undefined ? undefined : other / mine
}

const copyShare = (result: Result, { results }: Report): number | undefined => {
  const copy = results.find(({ name, threads }) => name === 'copy' && threads === result.threads)
  return copy === undefined || copy === result ? undefined : (100 * bandwidthOf(result)) / bandwidthOf(copy)
}

const single = ({ threads }: Result): boolean => threads === 1
const named = (pattern: RegExp) => (result: Result) => single(result) && pattern.test(result.name)
const side = ({ name }: Result): number => Number(/@(\d+)/.exec(name)?.[1] ?? 0)
const channels = ({ name }: Result): number => Number(/ (\d+)-/.exec(name)?.[1] ?? 0)
/** 3x3, stride 1, dense, 64 to 512 channels. */
const winograd = (result: Result): boolean =>
  named(/^3x3 \d+-\d+ @\d+( batch \d+)?( \| input gradient)?$/)(result) &&
  channels(result) >= 64 &&
  channels(result) <= 512
const forward1x1 = named(/^1x1 \d+-\d+ @\d{2,3}$/)

const models: readonly (readonly [string, number])[] = [
  ['resnet18', 3],
  ['resnet50', 2.2],
  ['vgg16', 4],
  ['googlenet', 2.5],
  ['densenet121', 2],
  ['resnext50_32x4d', 2],
  ['efficientnet_b0', 2],
  ['alexnet', 1.3],
]
const steps: readonly (readonly [string, number])[] = [
  ['resnet20', 1],
  ['resnet18', 1],
  ['resnet50', 0.8],
  ['efficientnet_b0', 0.8],
]
const isModel = (section: Result['section'], model: string) => (result: Result) =>
  result.section === section && result.name.startsWith(`${model} `)

const goals: readonly Goal[] = [
  { what: 'GEMM 1024, 1 thread: share of peak', unit: '%', wanted: 85, got: of(named(/^1024 x 1024 x 1024$/), peak) },
  {
    what: 'GEMM 1024, 1 thread, against onnxruntime-web',
    unit: 'x',
    wanted: 1.6,
    got: of(named(/^1024 x 1024 x 1024$/), against('onnxruntime-web')),
  },
  {
    what: '3x3, maps of 28 and larger, forward and input gradient: share of peak',
    unit: '%',
    wanted: 250,
    got: of((result) => winograd(result) && side(result) >= 28, peak),
  },
  {
    what: '3x3, maps of 14 and 7: share of peak',
    unit: '%',
    wanted: 160,
    got: of((result) => winograd(result) && side(result) < 28, peak),
  },
  { what: '3x3 against onnxruntime-web', unit: 'x', wanted: 4, got: of(winograd, against('onnxruntime-web')) },
  { what: '3x3 against onnxruntime-node', unit: 'x', wanted: 0.8, got: of(winograd, against('onnxruntime-node')) },
  { what: '1x1 forward: share of peak', unit: '%', wanted: 75, got: of(forward1x1, peak) },
  {
    what: '1x1 forward against onnxruntime-web',
    unit: 'x',
    wanted: 1.5,
    got: of(forward1x1, against('onnxruntime-web')),
  },
  {
    what: 'weight gradient 3x3: share of peak',
    unit: '%',
    wanted: 80,
    got: of((result) => named(/^3x3 \d+-\d+ @\d+( batch \d+)? \| weight/)(result) && channels(result) >= 64, peak),
  },
  {
    what: 'weight gradient 1x1: share of peak',
    unit: '%',
    wanted: 70,
    got: of(named(/^1x1 \d+-\d+ @\d{2,3} \| weight/), peak),
  },
  {
    what: 'depthwise forward against onnxruntime-web',
    unit: 'x',
    wanted: 1.5,
    got: of((result) => result.section === 'depthwise' && named(/depthwise$/)(result), against('onnxruntime-web')),
  },
  {
    what: 'two threads over one, convolutions',
    unit: 'x',
    wanted: 1.8,
    got: of(({ section, threads }) => section === 'convolutions' && threads === 2, scaling),
  },
  {
    what: 'two threads over one, training steps',
    unit: 'x',
    wanted: 1.8,
    got: of(({ section, threads }) => section === 'training' && threads === 2, scaling),
  },
  ...models.map(
    ([model, wanted]): Goal => ({
      what: `${model} against onnxruntime-web, same threads`,
      unit: 'x',
      wanted,
      got: of(isModel('networks', model), against('onnxruntime-web')),
    }),
  ),
  ...['resnet18', 'vgg16'].map(
    (model): Goal => ({
      what: `${model} with turbo against onnxruntime-node`,
      unit: 'x',
      wanted: 0.8,
      got: of(isModel('networks', model), turbo),
    }),
  ),
  ...steps.map(
    ([model, wanted]): Goal => ({
      what: `training step of ${model} against PyTorch, 2 threads`,
      unit: 'x',
      wanted,
      got: of((result) => isModel('training', model)(result) && result.threads === 2, against('torch')),
    }),
  ),
  {
    what: 'ops bound by memory: share of a copy',
    unit: '%',
    wanted: 50,
    got: of(({ section }) => section === 'memory', copyShare),
  },
  {
    what: 'overhead of an op on one number, gradient recorded',
    unit: 'us',
    wanted: 10,
    got: of(
      (result) => result.section === 'overhead',
      (result) => ((timeOf(result, 'ours') ?? Number.NaN) * 1000) / callsPerRun,
    ),
  },
  {
    what: 'start of ResNet-18 at 224, import to first result',
    unit: 'ms',
    wanted: 400,
    got: ({ startups }) => startups.map(({ first }) => first),
  },
]

/** A table of what was wanted and found; goals that nothing was measured for are left out. */
export function reached(report: Report): string {
  const show = (value: number, unit: Goal['unit']): string =>
    unit === 'x' ? `${value.toFixed(2)}x` : unit === 'us' ? `${value.toFixed(1)} us` : `${value.toFixed(0)} ${unit}`
  const rows = goals.flatMap(({ what, unit, wanted, got }) => {
    const values = [...got(report)].filter((value) => !Number.isNaN(value)).sort((a, b) => a - b)
    if (values.length === 0) return []
    const atMost = unit === 'us' || unit === 'ms'
    const [least, most] = [values[0] as number, values.at(-1) as number]
    const meets = values.filter((value) => (atMost ? value <= wanted : value >= wanted)).length
    const range = values.length > 1 ? `${show(least, unit)} to ${show(most, unit)}` : show(least, unit)
    const verdict = meets === values.length ? 'yes' : meets === 0 ? 'no' : `${meets} of ${values.length}`
    return [`| ${what} | ${atMost ? 'at most' : 'at least'} ${show(wanted, unit)} | ${range} | ${verdict} |`]
  })
  if (rows.length === 0) return ''
  return ['| what | wanted | got | reached |', '|---|---|---|---|', ...rows].join('\n')
}
