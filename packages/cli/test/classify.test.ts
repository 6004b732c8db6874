import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { collateImages, fashionMnist, fashionMnistClasses, Image, normalize } from '@convnets/data'
import { plain20, resnet20 } from '@convnets/models-modern'
import { noGrad, softmax, tidy } from '@convnets/tensor'
import { saveWeights } from '@convnets/weights'
import { describe, expect, test } from 'vitest'
import { type Trained, toMetadata } from '../src/trained.ts'
import { command, program, scratch } from './drive.ts'

const trained: Trained = {
  model: 'resnet20',
  options: { inChannels: 1, numClasses: 10 },
  classes: fashionMnistClasses,
  preprocessing: { height: 28, width: 28, channels: 1, mean: [0.286], std: [0.353] },
}

interface Answer {
  file: string
  classes: { name: string; index: number; probability: number }[]
}

/** A network with weights in a file, and pictures in files. */
async function prepare(): Promise<{ folder: string; weights: string; pictures: string[]; images: Image[] }> {
  const folder = await scratch()
  const weights = join(folder, 'model.safetensors')
  const model = resnet20({ ...trained.options, seed: 3 })
  await saveWeights(model, weights, { metadata: toMetadata(trained) })
  const { test } = await fashionMnist()
  const images = [0, 1, 2, 3].map((index) => test.get(index).image)
  const pictures = images.map((_, i) => join(folder, `${i}.png`))
  await Promise.all(images.map((image, i) => image.save(pictures[i]!)))
  return { folder, weights, pictures, images }
}

describe('classify', () => {
  test('gives the probabilities of the model in the file, best first, as JSON and as a table', async () => {
    const { folder, weights, pictures, images } = await prepare()
    const json = await program(['classify', '--json', '--top', '10', weights, ...pictures], folder)
    expect(json).toMatchObject({ code: 0, stderr: '' })
    const answers: Answer[] = JSON.parse(json.stdout)

    const model = resnet20({ ...trained.options, seed: 3 }).eval()
    const prepare28 = normalize(0.286, 0.353)
    const samples = images.map((image) => ({ image: prepare28(image), label: 0 }))
    const expected = tidy(() =>
      noGrad(() => softmax(model.forward(collateImages(samples, new Int32Array(4)).input), { dim: 1 }).dataSync()),
    )
    expect(answers.map(({ file }) => file)).toEqual(pictures)
    for (const [i, { classes }] of answers.entries()) {
      expect(classes).toHaveLength(10)
      for (const { name, index, probability } of classes) {
        expect(name).toBe(fashionMnistClasses[index])
        expect(probability).toBe(expected[10 * i + index])
      }
      const probabilities = classes.map(({ probability }) => probability)
      expect(probabilities).toEqual([...probabilities].sort((a, b) => b - a))
    }

    const plain = await command('classify', '--top', '2', weights, ...pictures)
    const [title, ...rows] = plain.stdout.trimEnd().split('\n')
    expect(title).toMatch(/^picture +class +probability$/)
    expect(rows).toHaveLength(8)
    for (const [i, row] of rows.entries()) {
      const { name, probability } = answers[Math.floor(i / 2)]!.classes[i % 2]!
      expect(row).toMatch(i % 2 === 0 ? new RegExp(`^${pictures[i / 2]} `) : /^ /)
      expect(row).toContain(name)
      expect(row.endsWith(`${(100 * probability).toFixed(1)} %`)).toBe(true)
    }
  })

  test('pictures of other sizes and colours are brought into the frame', async () => {
    const { folder, weights, images } = await prepare()
    const [image] = images
    // Four times as large, in colour: every pixel becomes a square of 4 x 4.
    const large = new Uint8Array(112 * 112 * 3)
    for (let i = 0; i < large.length; i++) {
      const [x, y] = [Math.floor(i / 3) % 112, Math.floor(i / 3 / 112)]
      large[i] = image!.data[(y >> 2) * 28 + (x >> 2)]!
    }
    const file = join(folder, 'large.png')
    await new Image(large, 112, 112, 3).save(file)
    const small = join(folder, '0.png')
    const { code, stdout } = await command('classify', '--json', '--top', '10', weights, small, file)
    expect(code).toBe(0)
    const [a, b] = (JSON.parse(stdout) as Answer[]).map(({ classes }) =>
      [...classes].sort((x, y) => x.index - y.index).map(({ probability }) => probability),
    )
    // Shrinking by the triangle blurs a little, so the two are alike and not equal.
    for (const [i, value] of a!.entries()) expect(Math.abs(value - b![i]!)).toBeLessThan(0.1)
  })

  test('a picture that cannot be read keeps no other from being classified, but is a failure', async () => {
    const { folder, weights, pictures } = await prepare()
    const text = join(folder, 'notes.png')
    await writeFile(text, 'not a picture')
    const cut = join(folder, 'cut.png')
    await writeFile(cut, (await readFile(pictures[0]!)).subarray(0, 200))
    const missing = join(folder, 'missing.png')
    const { code, stdout, stderr } = await command('classify', weights, text, pictures[0]!, cut, missing, folder)
    expect(code).toBe(1)
    expect(stdout.trimEnd().split('\n')).toHaveLength(2)
    const lines = stderr.trimEnd().split('\n')
    expect(lines).toHaveLength(4)
    expect(lines[0]).toMatch(/^error: .*notes\.png is no picture that can be read: /)
    expect(lines[1]).toMatch(/^error: .*cut\.png is no picture that can be read: /)
    expect(lines[2]).toBe(`error: ${missing} does not exist.`)
    expect(lines[3]).toMatch(/is a folder, not a file\.$/)
    const json = await command('classify', '--json', weights, text, pictures[0]!)
    expect(json.code).toBe(1)
    expect(JSON.parse(json.stdout)).toMatchObject([{ file: text, error: expect.any(String) }, { file: pictures[0] }])
  })

  test('files of weights that are missing, broken, of another origin or for another network', async () => {
    const { folder, weights, pictures } = await prepare()
    const expectFailure = async (file: string, message: RegExp): Promise<void> => {
      const { code, stdout, stderr } = await command('classify', file, pictures[0]!)
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr).toMatch(message)
      expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    }
    const bytes = await readFile(weights)
    const file = (name: string): string => join(folder, name)

    await expectFailure(file('none'), /^error: .*none does not exist\.$/m)
    await expectFailure(folder, /is a folder, not a file\.$/m)
    await writeFile(file('cut'), bytes.subarray(0, bytes.length - 1))
    await expectFailure(file('cut'), /cut is no whole safetensors file: at byte \d+, expected .+, got .+\.$/m)
    await expectFailure(pictures[0]!, /0\.png is no whole safetensors file/)
    await writeFile(file('empty'), '')
    await expectFailure(file('empty'), /empty is no whole safetensors file/)

    const model = resnet20({ ...trained.options, seed: 3 })
    const save = (name: string, metadata: ReadonlyMap<string, string>): Promise<void> =>
      saveWeights(model, file(name), { metadata })
    await save('bare', new Map([['format', 'pt']]))
    await expectFailure(file('bare'), /does not say what network they are for \(model, options, classes, preprocessing/)
    await save('odd', new Map([...toMetadata(trained), ['classes', '["one"]']]))
    await expectFailure(file('odd'), /its metadata are damaged/)
    await save('garbled', new Map([...toMetadata(trained), ['preprocessing', '{']]))
    await expectFailure(file('garbled'), /its metadata are damaged/)
    await save('unknown', toMetadata({ ...trained, model: 'resnet21' }))
    await expectFailure(file('unknown'), /is for a network called 'resnet21', which this version does not have\.$/m)
    await save('other', toMetadata({ ...trained, model: 'resnet32' }))
    await expectFailure(file('other'), /says that it is for resnet32, but .* another network: \d+ missing\.$/m)
    await saveWeights(plain20({ ...trained.options, numClasses: 9, seed: 1 }), file('nine'), {
      metadata: toMetadata(trained),
    })
    await expectFailure(file('nine'), /2 of another shape\.$/m)
  })

  test('--debug shows where an error comes from', async () => {
    const { stderr } = await command('classify', '--debug', 'missing.safetensors', 'missing.png')
    expect(stderr.split('\n').length).toBeGreaterThan(2)
    expect(stderr).toMatch(/ {4}at /)
  })
})
