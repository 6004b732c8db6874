import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cifar10Classes, collateImages, evalTransform, Image, normalize } from '@convnets/data'
import { classic, googlenet, mainLogits } from '@convnets/models-classic'
import { modern, resnet20 } from '@convnets/models-modern'
import { noGrad, softmax, tensor, tidy } from '@convnets/tensor'
import { loadWeights, openWeights, saveWeights } from '@convnets/weights'
import { describe, expect, test } from 'vitest'
import { command, program, scratch } from './drive.ts'

const fixture = (name: string): string => fileURLToPath(new URL(`../../../fixtures/weights/${name}`, import.meta.url))

const checkpoint = fixture('cifar-resnet/resnet20-12fca82f.th')

/** A picture of 32 x 32 coloured pixels. */
function picture(): Image {
  const data = Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) & 255)
  return new Image(data, 32, 32, 3)
}

describe('classify with weights of 2018', () => {
  test('gives what the network gives, by the published preprocessing and class names', async () => {
    const folder = await scratch()
    const file = join(folder, 'noise.png')
    await picture().save(file)
    const call = ['classify', file, '--model', 'resnet20', '--weights', checkpoint, '--top', '10', '--json']
    const { code, stdout, stderr } = await program(call, folder)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [answer] = JSON.parse(stdout) as { classes: { name: string; index: number; probability: number }[] }[]

    const model = resnet20().eval()
    await loadWeights(model, checkpoint)
    const { data } = normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])(picture())
    const input = Float32Array.from({ length: data.length }, (_, i) => data[(i % 1024) * 3 + Math.floor(i / 1024)]!)
    const expected = tidy(() =>
      noGrad(() => softmax(model.forward(tensor(input, { shape: [1, 3, 32, 32] })), { dim: 1 }).dataSync()),
    )
    expect(answer!.classes).toHaveLength(10)
    for (const { name, index, probability } of answer!.classes) {
      expect(name).toBe(cifar10Classes[index])
      expect(probability).toBeCloseTo(expected[index]!, 6)
    }
    model.dispose()
  })

  test('of a network with auxiliary classifiers, by its main logits', async () => {
    const folder = await scratch()
    const [file, weights, labels] = ['noise.png', 'google.safetensors', 'labels.txt'].map((name) => join(folder, name))
    await picture().save(file!)
    await writeFile(labels!, 'cat\ndog\nfrog\n')
    const model = googlenet({ numClasses: 3, seed: 4, auxLogits: false }).eval()
    await saveWeights(model, weights!)
    const names = ['--labels', labels!, '--top', '3', '--json']
    const { code, stdout, stderr } = await command(
      'classify',
      file!,
      '--model',
      'googlenet',
      '--weights',
      weights!,
      ...names,
    )
    // The heads that the file lacks are for training alone.
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const prepare = evalTransform({ ...googlenet.weights.IMAGENET1K_V1!, channelOrder: 'rgb' })
    const expected = tidy(() => {
      const { input } = collateImages([{ image: prepare(picture()), label: 0 }], Int32Array.of(0))
      return Array.from(noGrad(() => softmax(mainLogits(model.forward(input)), { dim: 1 }).dataSync()))
    })
    const [{ classes }] = JSON.parse(stdout) as [{ classes: { name: string; index: number; probability: number }[] }]
    expect(classes.map(({ index }) => index).sort()).toEqual([0, 1, 2])
    for (const { name, index, probability } of classes) {
      expect(name).toBe(['cat', 'dog', 'frog'][index])
      expect(probability).toBeCloseTo(expected[index]!, 6)
    }
    model.dispose()
  })

  test('class names come from a file, one a line or in JSON', async () => {
    const folder = await scratch()
    const file = join(folder, 'noise.png')
    await picture().save(file)
    const names = cifar10Classes.map((name) => name.toUpperCase())
    for (const [path, text] of [
      ['labels.txt', `${names.join('\n')}\n`],
      ['labels.json', JSON.stringify(names)],
    ] as const) {
      await writeFile(join(folder, path), text)
      const labels = ['--labels', join(folder, path)]
      const { code, stdout } = await command(
        'classify',
        file,
        '--model',
        'resnet20',
        '--weights',
        checkpoint,
        ...labels,
      )
      expect(code).toBe(0)
      expect(names.some((name) => stdout.includes(name))).toBe(true)
    }
    await writeFile(join(folder, 'labels.txt'), names.slice(1).join('\n'))
    const few = await command(
      'classify',
      file,
      '--model',
      'resnet20',
      '--weights',
      checkpoint,
      '--labels',
      join(folder, 'labels.txt'),
    )
    expect(few).toMatchObject({ code: 1, stdout: '' })
    expect(few.stderr).toMatch(/labels\.txt names 9 classes, but .*resnet20-12fca82f\.th tells 10 apart\.\n$/)
  })

  test('without names, there are as many classes as the weights tell apart', async () => {
    const folder = await scratch()
    const [file, weights] = [join(folder, 'noise.png'), join(folder, 'mine.pth')]
    await picture().save(file)
    await saveWeights(resnet20({ numClasses: 3, seed: 1 }), weights)
    const call = ['--model', 'resnet20', '--weights', weights, '--top', '9', '--json']
    const { code, stdout } = await command('classify', file, ...call)
    expect(code).toBe(0)
    const [{ classes }] = JSON.parse(stdout) as [{ classes: { name: string }[] }]
    expect(classes.map(({ name }) => name).sort()).toEqual(['class 0', 'class 1', 'class 2'])
  })

  test.each([
    [['classify', 'a.png', '--model', 'resnet20'], 2, "missing required argument 'pictures'"],
    [['classify', '--weights', checkpoint, '--model', 'resnet20'], 2, "missing required argument 'pictures'"],
    [['classify', 'a.png', '--weights', checkpoint, '--labels', 'x'], 2, "option '--labels <file>' needs --model"],
    [['classify', 'a.png', '--weights', checkpoint, '--model', 'resnet21'], 2, "There is no model called 'resnet21'"],
    [['classify', 'a.png', '--weights', checkpoint, '--model', 'resnet56'], 1, 'holds the tensors of another network'],
    [['classify', 'a.png', '--weights', 'none.pth', '--model', 'resnet20'], 1, 'none.pth does not exist.'],
  ])('%j', async (argv, code, message) => {
    const outcome = await command(...argv)
    expect(outcome).toMatchObject({ code, stdout: '' })
    expect(outcome.stderr).toContain(message)
  })
})

describe('inspect', () => {
  test('lists what is in a checkpoint', async () => {
    const { code, stdout, stderr } = await command('inspect', checkpoint)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const lines = stdout.trimEnd().split('\n')
    expect(lines[0]).toMatch(/^key +dtype +shape +bytes$/)
    expect(lines[1]).toMatch(/^conv1\.weight +F32 +\(16, 3, 3, 3\) +1,728$/)
    expect(lines).toHaveLength(1 + 97 + 1 + 2)
    expect(lines.slice(-2)).toEqual(['best_prec1: 91.78000183105469', 'pytorch, 97 tensors, 1.08 MB'])
  })

  test('as JSON, of a part of a checkpoint', async () => {
    const path = fixture('pth/tinynet-checkpoint-zip.pth')
    const { code, stdout } = await command('inspect', '--json', path, '--select', 'args')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      format: 'pytorch',
      bytes: 6 + 4 + 24 + 24,
      tensors: [
        { key: 'half', dtype: 'F16', shape: [3], bytes: 6 },
        { key: 'bf16', dtype: 'BF16', shape: [2] },
        { key: 'view', dtype: 'F32', shape: [2, 3] },
        { key: 'i64', dtype: 'I64', shape: [3] },
      ],
    })
  })

  test('a file that is none is said to be none', async () => {
    const folder = await scratch()
    await writeFile(join(folder, 'x.pth'), '<html>')
    const { code, stdout, stderr } = await command('inspect', join(folder, 'x.pth'))
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/^error: .*x\.pth cannot be read: at byte 0, expected .* got a web page or XML/)
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
  })
})

describe('convert', () => {
  test('from PyTorch to safetensors and back, every tensor as it was', async () => {
    const folder = await scratch()
    const [there, back] = [join(folder, 'r.safetensors'), join(folder, 'r.pth')]
    expect(await command('convert', checkpoint, there)).toEqual({
      code: 0,
      stdout: `${there}: 97 tensors, 1.08 MB\n`,
      stderr: '',
    })
    expect(await command('convert', there, back)).toMatchObject({ code: 0 })
    const [first, last] = [await openWeights(checkpoint), await openWeights(back)]
    expect(new Set(last.entries.keys())).toEqual(new Set(first.entries.keys()))
    for (const [key, { dtype, shape, read }] of first.entries) {
      const other = last.entries.get(key)!
      expect([other.dtype, other.shape]).toEqual([dtype, shape])
      expect(await other.read()).toEqual(await read())
    }
    await first.close()
    await last.close()
  })

  test('a target of no known format is wrong usage, and a broken file leaves the old target', async () => {
    const folder = await scratch()
    const target = join(folder, 'r.safetensors')
    expect(await command('convert', checkpoint, join(folder, 'r.h5'))).toMatchObject({ code: 2 })
    await writeFile(target, 'old')
    await writeFile(join(folder, 'cut.th'), (await readFile(checkpoint)).subarray(0, 500_000))
    const { code, stderr } = await command('convert', join(folder, 'cut.th'), target)
    expect(code).toBe(1)
    expect(stderr).toMatch(/cut\.th cannot be read: at byte \d+, expected .* bytes of storage/)
    expect((await stat(target)).size).toBe(3)
  })
})

test('every row of published weights tells evalTransform what it asks', () => {
  const rows = [...classic, ...modern].flatMap(({ weights }) => Object.values(weights))
  expect(rows.length).toBeGreaterThan(20)
  const colour = [255, 128, 0]
  const orange = new Image(
    Uint8Array.from({ length: 40 * 60 * 3 }, (_, i) => colour[i % 3]!),
    40,
    60,
    3,
  )
  for (const row of rows) {
    const { data, height, width, channels } = evalTransform(row)(orange)
    expect([row.name, height, width, channels]).toEqual([row.name, row.crop, row.crop, 3])
    const order = row.channelOrder === 'bgr' ? colour.toReversed() : colour
    for (const [c, value] of order.entries()) {
      expect(data.at(c - 3)).toBeCloseTo((value / 255 - row.mean[c]!) / row.std[c]!, 4)
    }
  }
  expect(new Set(rows.map(({ channelOrder }) => channelOrder))).toEqual(new Set([undefined, 'bgr']))
})
