import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { classic } from '@convnets/models-classic'
import { modern } from '@convnets/models-modern'
import { optimizerNames } from '@convnets/profile'
import { describe, expect, onTestFinished, test } from 'vitest'
import { command, commandOn } from './drive.ts'

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'convnets-costs-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

test.each([80, 100])('tables fit a terminal of %i columns', async (columns) => {
  const argvs = [
    ['summary', 'inception_resnet_v2', '--depth', '3', '--batch', '64', '--optimizer', 'rmsprop-momentum'],
    ['compare', 'tf_efficientnet_b8', 'legacy_seresnext101_32x4d', 'alexnet', '--batch', '2'],
  ]
  for (const argv of argvs) {
    const { stdout, code } = await commandOn(columns, ...argv)
    expect(code).toBe(0)
    for (const line of stdout.split('\n')) expect([line, line.length <= columns]).toEqual([line, true])
    expect(stdout).toContain('MACs')
  }
})

test.each(['summary', 'compare', 'bench'])('%s --help names every optimizer that there is', async (name) => {
  const { stdout } = await command(name, '--help')
  const option = /--optimizer <name>.*?(?=\n {2}-)/s.exec(stdout)?.[0] ?? ''
  const choices = [...option.matchAll(/"([\w-]+)"/g)].map(([, choice]) => choice)
  expect([...new Set(choices)]).toEqual(optimizerNames)
})

test('a step that WebAssembly has no room for is said to be one', async () => {
  const { stdout } = await command('summary', 'vgg16', '--depth', '0', '--batch', '64')
  expect(stdout).toMatch(/\nSuch a step takes more than the 4 GiB that WebAssembly has\.\n$/)
})

describe('summary', () => {
  test('shows the tree, the totals and the memory of training', async () => {
    const { code, stdout, stderr } = await command(
      ...['summary', 'resnet50', '--depth', '1', '--batch', '32', '--optimizer', 'adam', '--budget', '8GiB'],
    )
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const lines = stdout.split('\n')
    expect(lines[1]).toMatch(/^ResNet +1x1000 +25,557,032 +4\.09 G +100\.0 %/)
    expect(lines.filter((line) => /^[├└]/.test(line))).toHaveLength(11)
    expect(stdout).toMatch(/parameters +25,557,032\n/)
    expect(stdout).toMatch(/multiply-accumulates +4,089,184,256 /)
    expect(stdout).toMatch(/ {2}optimizer state +195 MiB/)
    expect(stdout).toMatch(/largest batch +\d+ \(adam in 8\.00 GiB\)/)
  })

  test('as JSON has the numbers as they are', async () => {
    const { stdout } = await command('summary', 'vgg16', '--json', '--depth', '0', '--optimizer', 'momentum')
    expect(JSON.parse(stdout)).toMatchObject({
      model: 'vgg16',
      input: [3, 224, 224],
      parameters: 138_357_544,
      macs: 15_470_264_320,
      optimizer: 'momentum',
      trainingMemory: { batch: 32, optimizerState: 4 * 138_357_544 },
      root: { children: [] },
    })
  })

  test('for images of another size and other channels', async () => {
    const of = async (shape: string) =>
      JSON.parse((await command('summary', 'resnet18', '--json', '--input', shape)).stdout) as { macs: number }
    expect((await of('3x448x448')).macs).toBeGreaterThan(3.9 * (await of('224')).macs)
    expect((await of('1x224x224')).macs).toBe((await of('224x224')).macs - 2 * 64 * 49 * 112 * 112)
  })

  test('with shares of all floating-point operations', async () => {
    const argv = ['summary', 'mobilenet_v2', '--depth', '0', '--json']
    const [macs, flops] = await Promise.all([argv, [...argv, '--count', 'flops']].map((own) => command(...own)))
    expect(JSON.parse(macs?.stdout ?? '')).toMatchObject({ convention: 'macs' })
    expect(JSON.parse(flops?.stdout ?? '')).toMatchObject({ convention: 'flops' })
    const { stdout } = await command('summary', 'resnet18', '--depth', '1', '--count', 'flops')
    // A norm has FLOPs and no MACs.
    expect(stdout).toMatch(/bn1 BatchNorm2d .* 128 +0 +0\.[1-9] %/)
    expect((await command('summary', 'mobilenet_v2', '--count', 'ops')).code).toBe(2)
  })

  test('as a page', async () => {
    const file = join(await folder(), 'page.html')
    const { code, stdout, stderr } = await command('summary', 'densenet121', '--html', file, '--batch', '8')
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: `${file} shows densenet121.\n` })
    const page = await readFile(file, 'utf8')
    expect(page).toContain('<h1>densenet121</h1>')
    expect(page).toContain('batch 8, sgd')
  })

  test.each([
    [['summary', 'resnet500'], 2, /There is no model called 'resnet500'; the nearest names are resnet50, /],
    [['summary', 'resnet50', '--batch', '0'], 2, /It should be a whole number of at least 1/],
    [['summary', 'resnet50', '--input', '3x224x224x2'], 2, /channels, height and width, as in 3x224x224/],
    [['summary', 'resnet50', '--input', '0x224x224'], 2, /channels, height and width/],
    [['summary', 'resnet50', '--budget', 'much'], 2, /bytes, as in 8GiB/],
    [['summary', 'resnet50', '--optimizer', 'lion'], 2, /Allowed choices are sgd, momentum/],
    [
      ['summary', 'resnet50', '--budget', '1MB'],
      1,
      /bytes expects at least 102228128, the parameters' own size, got 1000000/,
    ],
    [
      ['summary', 'inception_v3', '--input', '3x50x50'],
      1,
      /does not fit at .*; the smallest that fits is \(3, 75, 75\)/,
    ],
    [['summary', 'resnet18', '--html', '/nowhere/page.html'], 1, /\/nowhere\/page\.html does not exist/],
    [['compare'], 2, /missing required argument 'models'/],
    [
      ['compare', 'resnet20', '--svg', 'chart.svg'],
      1,
      /None of these networks has a published accuracy on ImageNet-1k/,
    ],
    [['bench', 'resnet20', '--threads', '0'], 2, /from 1 to 64/],
  ])('%j is a mistake', async (argv, code, message) => {
    const outcome = await command(...argv)
    expect({ code: outcome.code, stdout: outcome.stdout }).toEqual({ code, stdout: '' })
    expect(outcome.stderr).toMatch(message)
    expect(outcome.stderr.trimEnd().split('\n')).toHaveLength(1)
  })
})

describe('compare', () => {
  test('lines networks up, the cheapest first', async () => {
    const { stdout, code } = await command('compare', 'vgg16', 'resnet18', 'resnet18', 'alexnet', '--batch', '8')
    expect(code).toBe(0)
    const lines = stdout.split('\n')
    expect(lines.slice(1, 4).map((line) => line.split(' ')[0])).toEqual(['alexnet', 'resnet18', 'vgg16'])
    expect(lines[2]).toMatch(/3x224x224 +11,689,512 +1\.81 G .* 73\.3 %$/)
    expect(stdout).toMatch(/training: a step of 8 inputs with sgd, at its peak/)
  })

  test('draws all networks of both packages that have accuracies', async () => {
    const file = join(await folder(), 'all.svg')
    const { code, stdout, stderr } = await command('compare', '--svg', file)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toMatch(/ shows \d+ networks\.\n$/)
    const names = [...(await readFile(file, 'utf8')).matchAll(/<title>([^:<]+):/g)].map(([, name]) => name)
    for (const name of ['alexnet', 'vgg19_bn', 'inception_v4', 'resnet152', 'densenet201', 'legacy_senet154']) {
      expect(names).toContain(name)
    }
    const drawn = [...classic, ...modern].filter(({ weights, inputSize }) =>
      Object.values(weights).some((row) => row.labels === 'imagenet-1k' && row.crop === inputSize[0] && !row.benchmark),
    )
    expect([...names].sort()).toEqual(drawn.map(({ name }) => name).sort())
  })

  test('as JSON', async () => {
    const { stdout } = await command('compare', '--json', 'resnet18', 'vgg11')
    expect(JSON.parse(stdout)).toMatchObject([
      { model: 'resnet18', macs: 1_814_073_344 },
      { model: 'vgg11', macs: 7_609_090_048 },
    ])
  })
})

describe('bench', () => {
  test('tells latency, throughput and memory', async () => {
    const { stdout, code } = await command('bench', 'resnet20', '--runs', '6', '--batch', '4')
    expect(code).toBe(0)
    for (const line of [
      /mode +inference, batch 4, \d+ threads?/,
      /runs +6\n/,
      /latency, median +[\d.]+ ms/,
      /throughput +[\d.]+ inputs a second/,
      /arithmetic +[\d.]+ GFLOP\/s, [\d.]+ % of [\d.]+/,
      /memory at the peak +[\d.]+ MiB, /,
    ]) {
      expect(stdout).toMatch(line)
    }
  })

  test('as JSON: percentiles in order, throughput that follows from the mean', async () => {
    const { stdout } = await command('bench', 'resnet20', '--runs', '8', '--train', '--batch', '2', '--json')
    const { milliseconds: t, perSecond, runs, mode, peakBytes } = JSON.parse(stdout)
    expect({ runs, mode }).toEqual({ runs: 8, mode: 'training' })
    const order = [t.min, t.p50, t.p90, t.p99, t.max]
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(perSecond).toBeCloseTo(2000 / t.mean, 6)
    expect(peakBytes).toBeGreaterThan(2 * 4 * 269_722)
  })

  test("writes a trace in Chrome's format and a page", async () => {
    const path = await folder()
    const [trace, page] = [join(path, 'trace.json'), join(path, 'page.html')]
    const { stdout, stderr } = await command(
      ...['bench', 'resnet20', '--runs', '1', '--train', '--trace', trace, '--html', page],
    )
    expect(stdout).toMatch(/^op +calls +ms +share/)
    expect(stderr).toContain(`${trace} has one run`)
    const { traceEvents } = JSON.parse(await readFile(trace, 'utf8'))
    expect(traceEvents.map(({ name }: { name: string }) => name)).toContain('conv2d weight gradient')
    expect(await readFile(page, 'utf8')).toContain('Time by op')
  })
})
