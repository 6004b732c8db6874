/** The commands that tell what networks cost, as the command line has them. */
import { Argument, type Command, Option } from 'commander'
import { byteCount, imageShape, integer, threads } from './arguments.ts'
import type { Context } from './context.ts'

/** What shares are of, as the profile package calls it. */
type Convention = 'macs' | 'flops'

/** What an estimate of memory is made for. */
interface TrainingWishes {
  batch?: number
  optimizer?: string
  ema?: boolean
  budget?: number
}

export interface SummaryOptions extends TrainingWishes {
  input?: readonly [number, number, number]
  depth: number
  count: Convention
  json?: boolean
  html?: string
}

export interface CompareOptions extends TrainingWishes {
  input?: readonly [number, number, number]
  json?: boolean
  svg?: string
}

export interface BenchOptions {
  input?: readonly [number, number, number]
  batch: number
  runs?: number
  seconds: number
  train?: boolean
  optimizer: string
  threads?: number
  trace?: string
  html?: string
  json?: boolean
}

// As in the profile package, which is not loaded to print help.
const optimizerNames = [
  'sgd',
  'momentum',
  'nesterov',
  'adam',
  'adamw',
  'amsgrad',
  'rmsprop',
  'rmsprop-momentum',
  'adagrad',
]

const input = (): Option =>
  new Option('--input <shape>', "input, as in 3x224x224 (default: the network's own)").argParser(imageShape)
const batch = (): Option => new Option('--batch <n>', 'inputs per training step').argParser(integer(1))
const optimizer = (): Option => new Option('--optimizer <name>', 'optimizer to train with').choices(optimizerNames)
const ema = (): Option => new Option('--ema', 'keep a moving average of the weights')

export function addSummary(program: Command, context: Context): void {
  program
    .command('summary')
    .summary('what a network costs: parameters, MACs, memory')
    .description(
      'Shows the modules of a network with shapes, parameters, multiply-accumulates and memory, and what training it takes. ' +
        'Nothing is computed, so that it is quick for networks of any size.',
    )
    .addArgument(new Argument('<model>', 'one of `convnets models`'))
    .addOption(input())
    .addOption(batch())
    .addOption(optimizer())
    .addOption(ema())
    .addOption(new Option('--budget <bytes>', 'also find the largest batch that fits, as in 8GiB').argParser(byteCount))
    .option('--depth <n>', 'levels of modules', integer(0), 2)
    .addOption(
      new Option('--count <what>', 'what shares are of: multiply-accumulates of convolutions and linear layers, or all')
        .choices(['macs', 'flops'])
        .default('macs'),
    )
    .option('--html <file>', 'write a page with the tree, the diagram and the memory')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ convnets summary resnet50
  $ convnets summary densenet121 --batch 32 --optimizer adam --budget 8GiB
  $ convnets summary vgg16 --input 3x448x448 --depth 1
  $ convnets summary inception_v3 --html inception.html`,
    )
    .action(async (name: string, options: SummaryOptions) => {
      await (await import('./commands/summary.ts')).summary(name, options, context)
    })
}

export function addCompare(program: Command, context: Context): void {
  program
    .command('compare')
    .summary('what several networks cost, side by side')
    .description(
      'Compares networks by parameters, multiply-accumulates, memory and published accuracy. With --svg it also draws ' +
        'accuracy against multiply-accumulates, with bubbles as large as the parameters are many; without names, of all networks.',
    )
    .addArgument(new Argument('[models...]', 'some of `convnets models`'))
    .addOption(input())
    .addOption(batch())
    .addOption(optimizer())
    .addOption(ema())
    .option('--svg <file>', 'write the chart')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ convnets compare resnet50 densenet121 inception_v3
  $ convnets compare resnet18 resnet34 --batch 64 --optimizer momentum
  $ convnets compare --svg networks.svg`,
    )
    .action(async (names: string[], options: CompareOptions, command: Command) => {
      if (names.length === 0 && options.svg === undefined) {
        return command.error("error: missing required argument 'models'")
      }
      return (await import('./commands/compare.ts')).compare(names, options, context)
    })
}

export function addBench(program: Command, context: Context): void {
  program
    .command('bench')
    .summary('how fast a network is here')
    .description(
      'Runs a network on numbers without meaning and tells the latency of a batch (percentiles), pictures per second, ' +
        "share of the processor's peak and memory. Initial weights are as good as trained ones for that.",
    )
    .addArgument(new Argument('<model>', 'one of `convnets models`'))
    .addOption(input())
    .option('--batch <n>', 'inputs at once', integer(1), 1)
    .option('--runs <n>', 'runs to measure (default: as many as fit in --seconds, at least 5)', integer(1))
    .option('--seconds <n>', 'time to measure for', integer(1), 5)
    .option('--train', 'measure training steps: forward, backward and an update of the weights')
    .addOption(optimizer().default('sgd'))
    .addOption(threads())
    .option('--trace <file>', "write one run in Chrome's trace format")
    .option('--html <file>', 'write a page with the time of every module')
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ convnets bench resnet50
  $ convnets bench resnet18 --batch 16 --train --optimizer adam --threads 4
  $ convnets bench densenet121 --trace trace.json`,
    )
    .action(async (name: string, options: BenchOptions) => {
      await (await import('./commands/bench.ts')).bench(name, options, context)
    })
}
