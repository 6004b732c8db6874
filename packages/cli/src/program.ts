/** The command line: commands, options, help. Commands are imported when they are called, so that help is quick. */
import { Argument, Command, Option } from 'commander'
import { integer, number, positive, threads } from './arguments.ts'
import type { Context } from './context.ts'
import { addBench, addCompare, addSummary } from './program-costs.ts'
import { type DataName, dataSets, type OptimizerName, optimizers, type ScheduleName, schedules } from './settings.ts'

/** Options of `convnets train` as the command line gives them; what has no default may be absent. */
export interface TrainOptions {
  model: string
  data: DataName
  dataRoot?: string
  epochs: number
  batch: number
  optimizer: OptimizerName
  lr?: number
  momentum?: number
  weightDecay?: number
  schedule: ScheduleName
  labelSmoothing: number
  seed: number
  limit?: number
  threads?: number
  out?: string
  resume?: boolean
  quiet?: boolean
}

export interface ClassifyOptions {
  model?: string
  weights?: string
  labels?: string
  top: number
  json?: boolean
  threads?: number
}

export interface InspectOptions {
  json?: boolean
  select?: string[]
}

export interface ConvertOptions {
  select?: string[]
}

export interface ModelsOptions {
  json?: boolean
}

const list = (rows: Readonly<Record<string, string>>): string => {
  const width = Math.max(...Object.keys(rows).map((name) => name.length))
  return Object.entries(rows)
    .map(([name, about]) => `  ${name.padEnd(width)}  ${about}`)
    .join('\n')
}

const defaultsOf = (key: 'lr' | 'weightDecay'): string =>
  Object.entries(optimizers)
    .map(([name, row]) => `${name} ${row[key]}`)
    .join(', ')

function addTrain(program: Command, context: Context): void {
  program
    .command('train')
    .summary('train a network and classify ten test pictures with it')
    .description(
      'Trains a network. Without options: a ResNet-20 on 6,000 pictures of clothes, in about a minute. ' +
        'The output folder gets the weights, the curve of loss and accuracy, a log, checkpoints and ten classified ' +
        'test pictures. Ctrl-C saves a checkpoint before it ends; --resume goes on from there.',
    )
    .option('--model <name>', 'network, one of `convnets models`', 'resnet20')
    .addOption(new Option('--data <name>', 'data set').choices(Object.keys(dataSets)).default('fashion-mnist'))
    .option('--data-root <folder>', "folder of the data set's files")
    .option('--epochs <n>', 'passes over the training pictures', integer(1), 6)
    .option('--batch <n>', 'pictures per step', integer(1), 64)
    .addOption(new Option('--optimizer <name>', 'optimizer').choices(Object.keys(optimizers)).default('sgd'))
    .addOption(new Option('--schedule <name>', 'learning rate').choices(Object.keys(schedules)).default('one-cycle'))
    .option('--lr <x>', `highest learning rate (default: ${defaultsOf('lr')})`, positive)
    .option(
      '--momentum <x>',
      'momentum of sgd and rmsprop (default: 0.9; one-cycle lets it fall from 0.95 to 0.85 and rise again)',
      number(0, 1),
    )
    .option(
      '--weight-decay <x>',
      `weight decay (default: ${defaultsOf('weightDecay')})`,
      number(0, Number.POSITIVE_INFINITY),
    )
    .option('--label-smoothing <x>', 'share of the target spread over all classes', number(0, 1), 0)
    .option('--seed <n>', 'what weights, order and flips follow from', integer(0, 2 ** 32 - 1), 1)
    .option('--limit <n>', 'use only the first n pictures for training and for testing', integer(1))
    .addOption(threads())
    .option('--out <folder>', 'output folder (default: runs/<model>)')
    .option('--resume', 'go on with the run in the output folder')
    .option('--quiet', 'no progress bar: a line per epoch')
    .addHelpText(
      'after',
      `
Data sets:
${list(Object.fromEntries(Object.entries(dataSets).map(([name, { about }]) => [name, about])))}

Schedules:
${list(schedules)}

Examples:
  $ convnets train
  $ convnets train --epochs 10 --batch 128 --out runs/longer
  $ convnets train --resume --out runs/longer
  $ convnets train --model resnet56 --data cifar10 --data-root cifar-10-batches-bin --epochs 30
  $ convnets train --optimizer adamw --schedule cosine --lr 1e-3 --limit 1000`,
    )
    .action(async (options: TrainOptions, command: Command) => {
      const given = new Set(Object.keys(options).filter((key) => command.getOptionValueSource(key) === 'cli'))
      await (await import('./commands/train.ts')).train(options, given, context)
    })
}

function addClassify(program: Command, context: Context): void {
  program
    .command('classify')
    .summary('say what pictures show')
    .description(
      'Classifies pictures with the weights that `convnets train` has written, or with --model and --weights by any ' +
        'network of `convnets models` with weights from PyTorch or a hub. ' +
        'Pictures may have any size: they are scaled to what the network was trained on, and what sticks out of its ' +
        'frame is cut off. Colours become grey, or grey becomes colour, as the network needs.',
    )
    .addArgument(new Argument('[weights]', 'model.safetensors of a training run, unless --weights is given'))
    .addArgument(new Argument('[pictures...]', 'PNG files (JPEG, WebP, TIFF, GIF and AVIF work too)'))
    .option('--model <name>', 'network that the weights are for, one of `convnets models`')
    .option('--weights <file>', 'weights: a file, an address, hf:OWNER/NAME or torchvision:ENUM.TAG')
    .option('--labels <file>', 'names of the classes, one a line or as a JSON list (with --model)')
    .option('--top <k>', 'how many classes to show for each picture', integer(1), 1)
    .option('--json', 'print JSON')
    .addOption(threads())
    .addHelpText(
      'after',
      `
Examples:
  $ convnets classify runs/resnet20/model.safetensors runs/resnet20/images/*.png
  $ convnets classify --top 3 model.safetensors boot.png
  $ convnets classify --json model.safetensors boot.png
  $ convnets classify frog.png --model resnet20 --weights resnet20-12fca82f.th --top 5
  $ convnets classify cat.jpg --model resnet50 --weights torchvision:ResNet50_Weights.DEFAULT --labels imagenet.txt`,
    )
    .action(async (first: string | undefined, rest: string[], options: ClassifyOptions, command: Command) => {
      const files = first === undefined ? rest : [first, ...rest]
      const weights = options.weights ?? files.shift()
      const lacking = (name: string): never => command.error(`error: missing required argument '${name}'`)
      if (weights === undefined) return lacking('weights')
      if (files.length === 0) return lacking('pictures')
      if (options.labels !== undefined && options.model === undefined) {
        return command.error(
          "error: option '--labels <file>' needs --model: other weights bring their class names along",
        )
      }
      return (await import('./commands/classify.ts')).classify(weights, files, options, context)
    })
}

/** Keys on the way to the tensors of a checkpoint, as one option each or all in one. */
const select = (): Option =>
  new Option('--select <keys...>', "keys that lead to a checkpoint's tensors (default: state_dict, model and the like)")

function addInspect(program: Command, context: Context): void {
  program
    .command('inspect')
    .summary('list the tensors of a file of weights')
    .description(
      'Lists keys, dtypes, shapes and bytes of a file of weights: safetensors, PyTorch (.pth, .pt, .th, .bin), NumPy ' +
        '(.npz, .npy) or TensorFlow.js (model.json). The tensors themselves are not read, and nothing is executed.',
    )
    .addArgument(new Argument('<file>', 'a file, an address, or hf:OWNER/NAME'))
    .addOption(select())
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ convnets inspect resnet20-12fca82f.th
  $ convnets inspect checkpoint.pth --select ema
  $ convnets inspect --json model.safetensors`,
    )
    .action(async (file: string, options: InspectOptions) => {
      await (await import('./commands/inspect.ts')).inspect(file, options, context)
    })
}

function addConvert(program: Command, context: Context): void {
  program
    .command('convert')
    .summary('turn a file of weights into another format')
    .description(
      'Writes the tensors of any file that `convnets inspect` reads as safetensors or as a PyTorch checkpoint, each with ' +
        'the dtype that it has. What lies beside the tensors becomes metadata of a safetensors file where it is text.',
    )
    .addArgument(new Argument('<in>', 'a file, an address, or hf:OWNER/NAME'))
    .addArgument(new Argument('<out>', '*.safetensors, or *.pth, *.pt, *.th, *.bin for PyTorch'))
    .addOption(select())
    .addHelpText(
      'after',
      `
Examples:
  $ convnets convert resnet20-12fca82f.th resnet20.safetensors
  $ convnets convert runs/resnet20/model.safetensors resnet20.pth
  $ convnets convert checkpoint.pth ema.safetensors --select ema`,
    )
    .action(async (source: string, target: string, options: ConvertOptions) => {
      await (await import('./commands/convert.ts')).convert(source, target, options, context)
    })
}

function addModels(program: Command, context: Context): void {
  program
    .command('models')
    .summary('list the networks')
    .description('Lists the networks that can be trained, with their size and published accuracy on ImageNet.')
    .addArgument(new Argument('[pattern]', 'part of a name; * stands for anything'))
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ convnets models
  $ convnets models 'resnet*'
  $ convnets models --json`,
    )
    .action(async (pattern: string | undefined, options: ModelsOptions) => {
      await (await import('./commands/models.ts')).models(pattern, options, context)
    })
}

/** The whole command line. Parsing it throws `CommanderError` for help, the version and what it does not understand. */
export function createProgram(context: Context, version: string): Command {
  const program = new Command('convnets')
    .description('Trains convolutional networks and classifies pictures with them.')
    .version(version, '--version', 'print the version')
    .option('--debug', 'show where an error comes from')
    .helpCommand(false)
    .showSuggestionAfterError()
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void context.stdout.write(text),
      writeErr: (text) => void context.stderr.write(text),
      getOutHasColors: () => context.colors.isColorSupported,
      getErrHasColors: () => context.colors.isColorSupported,
      // Errors are thrown as well, and printed in one place.
      outputError: () => {},
    })
    .addHelpText(
      'after',
      `
Examples:
  $ convnets train                                            a ResNet-20 in about a minute
  $ convnets classify runs/resnet20/model.safetensors *.png   what it sees in pictures
  $ convnets models 'resnet*'                                 what else can be trained
  $ convnets summary resnet50                                 what a network costs
  $ convnets inspect resnet20-12fca82f.th                     what is in a file of weights

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted with Ctrl-C.`,
    )
  addTrain(program, context)
  addClassify(program, context)
  addModels(program, context)
  addInspect(program, context)
  addConvert(program, context)
  addSummary(program, context)
  addCompare(program, context)
  addBench(program, context)
  return program
}
