import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fashionMnist, fashionMnistClasses, Image } from '@convnets/data'
import { parseSafetensors } from '@convnets/weights'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { command, type Outcome, program, scratch, start } from './drive.ts'

/** A run that is over in a moment. */
const tiny = ['--limit', '48', '--batch', '16', '--lr', '0.02', '--threads', '1']

const sentenceOf = ({ stderr }: Outcome): string => {
  expect(stderr).toMatch(/^error: [^\n]+\n$/)
  return stderr.slice('error: '.length).trimEnd()
}

// On a busy machine a run may take its time.
describe('a run', { timeout: 180_000 }, () => {
  test('leaves weights, curve, history, checkpoint and classified pictures, and says so in plain lines', async () => {
    const folder = await scratch()
    const out = join(folder, 'run')
    const { code, stdout, stderr } = await program(['train', ...tiny, '--epochs', '2', '--out', 'run'], folder)
    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(stdout + stderr).not.toContain(String.fromCharCode(27))
    const [title, ...lines] = stderr.trimEnd().split('\n')
    expect(title).toBe('resnet20 (269,434 parameters) on 48 pictures of fashion-mnist')
    expect(lines).toHaveLength(2)
    for (const [i, line] of lines.entries()) {
      expect(line).toMatch(
        /^epoch \d\/2 {2}loss \d+\.\d{3} {2}accuracy \d+\.\d % {2}test loss \d+\.\d{3} {2}accuracy \d+\.\d % {2}[\d,]+ images\/s/,
      )
      expect(line.includes(`epoch ${i + 1}/2`)).toBe(true)
    }
    for (const file of ['model.safetensors', 'curve.svg', 'history.csv', 'images']) {
      expect(stdout).toContain(join('run', file))
    }

    const history = (await readFile(join(out, 'history.csv'), 'utf8')).trimEnd().split('\n')
    expect(history).toHaveLength(3)
    const accuracy = 100 * Number(history[2]!.split(',')[history[0]!.split(',').indexOf('test_accuracy')])
    expect(stdout).toContain(`test accuracy ${accuracy.toFixed(1)} % after 2 epochs`)
    expect(await readFile(join(out, 'curve.svg'), 'utf8')).toMatch(/^<svg/)
    expect(await readdir(out)).toEqual(expect.arrayContaining(['settings.json', 'checkpoint.safetensors']))

    const { metadata, entries } = parseSafetensors(await readFile(join(out, 'model.safetensors')))
    expect(metadata.get('model')).toBe('resnet20')
    expect(JSON.parse(metadata.get('classes')!)).toEqual(fashionMnistClasses)
    expect(entries.get('linear.weight')?.shape).toEqual([10, 64])

    // One picture of every class, exactly as it is in the data, and what the network says of it, twice the same.
    const names = (await readdir(join(out, 'images'))).filter((name) => name.endsWith('.png')).sort()
    expect(names).toHaveLength(10)
    const { test } = await fashionMnist()
    for (const [label, name] of names.entries()) {
      const image = await Image.open(join(out, 'images', name))
      expect([image.height, image.width, image.channels]).toEqual([28, 28, 1])
      expect(Buffer.from(image.data).equals(test.get(test.labels.indexOf(label)).image.data)).toBe(true)
    }
    const files = names.map((name) => join(out, 'images', name))
    const classified = await command('classify', '--json', join(out, 'model.safetensors'), ...files)
    const answers: { classes: { name: string; probability: number }[] }[] = JSON.parse(classified.stdout)
    const rows = answers.map(({ classes: [best] }, i) =>
      [names[i], fashionMnistClasses[i], best!.name, best!.probability.toFixed(4)].join(','),
    )
    const predictions = (await readFile(join(out, 'images', 'predictions.csv'), 'utf8')).trimEnd().split('\n')
    expect(predictions).toEqual(['file,class,predicted,probability', ...rows])
    const right = answers.filter(({ classes }, i) => classes[0]!.name === fashionMnistClasses[i]).length
    expect(stdout).toContain(`${right} of 10 right`)
  })

  test('trains a network with auxiliary classifiers on the loss of all heads', async () => {
    const folder = await scratch()
    const small = ['--limit', '32', '--batch', '16', '--epochs', '1', '--quiet', '--out', join(folder, 'run')]
    const { code, stdout, stderr } = await command('train', '--model', 'googlenet', ...small)
    expect({ code, stderr }).toMatchObject({ code: 0 })
    expect(stdout).toContain('test accuracy')
    const [header, row] = (await readFile(join(folder, 'run', 'history.csv'), 'utf8')).trimEnd().split('\n')
    const value = (column: string): number => Number(row!.split(',')[header!.split(',').indexOf(column)])
    // Three heads that know nothing: ln 10 for the main one and 0.3 of it for each of the others; one head alone in the test.
    expect(value('train_loss') / Math.log(10)).toBeGreaterThan(1.4)
    expect(value('test_loss')).toBeGreaterThan(0)
    const { entries } = parseSafetensors(await readFile(join(folder, 'run', 'model.safetensors')))
    expect(entries.get('aux2.fc2.weight')?.shape).toEqual([10, 1024])
  })

  test('every optimizer and schedule learns, the same seed gives the same weights, another one others', async () => {
    const folder = await scratch()
    const weightsOf = async (name: string, ...argv: string[]): Promise<Buffer> => {
      const out = join(folder, name)
      const settings = ['--limit', '16', '--batch', '8', '--epochs', '1', '--threads', '1', '--quiet', '--out', out]
      const { code, stderr } = await command('train', ...settings, ...argv)
      expect({ code, stderr }).toMatchObject({ code: 0 })
      return readFile(join(out, 'model.safetensors'))
    }
    const first = await weightsOf('a', '--lr', '0.02')
    expect((await weightsOf('b', '--lr', '0.02')).equals(first)).toBe(true)
    for (const [i, argv] of [
      ['--lr', '0.02', '--seed', '2'],
      ['--lr', '0.02', '--schedule', 'cosine'],
      ['--lr', '0.02', '--schedule', 'step'],
      ['--lr', '0.02', '--schedule', 'constant'],
      ['--lr', '0.02', '--momentum', '0.5'],
      ['--lr', '0.02', '--weight-decay', '0.1'],
      ['--lr', '0.02', '--label-smoothing', '0.2'],
      ['--optimizer', 'adam'],
      ['--optimizer', 'adamw'],
      ['--optimizer', 'rmsprop'],
    ].entries()) {
      expect((await weightsOf(`c${i}`, ...argv)).equals(first), argv.join(' ')).toBe(false)
    }
  })

  test('colour pictures of a folder: CIFAR-10', async () => {
    const folder = await scratch()
    const record = (n: number): Buffer => Buffer.concat([Buffer.from([n % 10]), Buffer.alloc(3072, (37 * n) % 256)])
    const batch = Buffer.concat(Array.from({ length: 10 }, (_, n) => record(n)))
    for (const name of [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`).concat('test_batch.bin')) {
      await writeFile(join(folder, name), batch)
    }
    const out = join(folder, 'run')
    const data = ['--data', 'cifar10', '--data-root', folder, '--batch', '25', '--epochs', '1', '--out', out]
    expect(await command('train', ...data, '--lr', '0.01')).toMatchObject({ code: 0 })
    const { code, stdout } = await command(
      'classify',
      join(out, 'model.safetensors'),
      join(out, 'images', '0-airplane.png'),
    )
    expect(code).toBe(0)
    expect(stdout.split('\n')).toHaveLength(3)
    await writeFile(join(folder, 'data_batch_3.bin'), batch.subarray(1))
    const broken = await command('train', ...data)
    expect(broken.code).toBe(1)
    expect(sentenceOf(broken)).toMatch(/data_batch_3\.bin: at byte \d+: expected records of 3073 bytes/)
  })
})

describe('stopping and resuming', { timeout: 180_000 }, () => {
  const settings = ['--limit', '32', '--batch', '16', '--epochs', '12', '--lr', '0.02', '--threads', '1']
  let folderOfAll: string
  let whole: Buffer

  beforeAll(async () => {
    folderOfAll = await mkdtemp(join(tmpdir(), 'convnets-cli-'))
    const out = join(folderOfAll, 'whole')
    expect(await command('train', ...settings, '--out', out)).toMatchObject({ code: 0 })
    whole = await readFile(join(out, 'model.safetensors'))
  }, 180_000)
  afterAll(() => rm(folderOfAll, { recursive: true, force: true }))

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s saves a checkpoint; resumed, the run ends with the weights of one never stopped',
    async (signal, end) => {
      const folder = await scratch()
      const running = start(['train', ...settings, '--out', 'my run'], folder)
      await running.printed('epoch 2/12')
      running.child.kill(signal)
      const { code, stdout, stderr } = await running.outcome
      expect({ code, stdout }).toEqual({ code: end, stdout: '' })
      expect(stderr).toMatch(
        /^Stopped after \d+ steps, in epoch \d+; the checkpoint is saved\. Go on with:\n {2}convnets train --resume --out 'my run'\n$/m,
      )
      const steps = Number(/Stopped after (\d+)/.exec(stderr)?.[1])
      expect(steps).toBeGreaterThanOrEqual(4)
      expect(steps).toBeLessThan(24)
      expect(await readdir(join(folder, 'my run'))).not.toContain('model.safetensors')

      const resumed = await program(['train', '--resume', '--out', 'my run'], folder)
      expect(resumed.code).toBe(0)
      expect(resumed.stderr).not.toContain('epoch 1/12')
      const weights = await readFile(join(folder, 'my run', 'model.safetensors'))
      expect(weights.equals(whole)).toBe(true)
    },
  )

  test('a finished run can be resumed: nothing is left to do, its files are written again', async () => {
    const out = join(await scratch(), 'run')
    await command('train', ...tiny, '--epochs', '1', '--out', out)
    const before = await readFile(join(out, 'model.safetensors'))
    const { code, stderr } = await command('train', '--resume', '--out', out)
    expect(code).toBe(0)
    expect(stderr).not.toContain('epoch')
    expect((await readFile(join(out, 'model.safetensors'))).equals(before)).toBe(true)
  })

  test('what does not fit together is refused, and the run stays as it was', async () => {
    const folder = await scratch()
    const out = join(folder, 'run')
    const nothing = await command('train', '--resume', '--out', out)
    expect(nothing.code).toBe(2)
    expect(sentenceOf(nothing)).toBe(`There is nothing to resume in ${out}; without --resume a run begins there.`)

    await command('train', ...tiny, '--epochs', '1', '--out', out)
    const other = await command('train', '--resume', '--out', out, '--epochs', '3')
    expect(other.code).toBe(2)
    expect(sentenceOf(other)).toBe(`--epochs is 3 here and 1 in the run in ${out}; --resume goes on as the run began.`)
    expect(await command('train', '--resume', '--out', out, '--epochs', '1')).toMatchObject({ code: 0 })

    const checkpoint = join(out, 'checkpoint.safetensors')
    await copyFile(checkpoint, join(folder, 'kept'))
    await writeFile(checkpoint, (await readFile(checkpoint)).subarray(0, 5000))
    const damaged = await command('train', '--resume', '--out', out)
    expect(damaged.code).toBe(1)
    expect(damaged.stderr).toMatch(/error: .*checkpoint\.safetensors: at byte \d+: expected /)
    await copyFile(join(folder, 'kept'), checkpoint)
    await writeFile(join(out, 'settings.json'), '{"model": 3}')
    const settings = await command('train', '--resume', '--out', out)
    expect(settings.code).toBe(1)
    expect(sentenceOf(settings)).toMatch(/settings\.json is damaged, so the run in .* cannot be resumed\.$/)
  })

  test('a new run replaces the one in its folder, and says so', async () => {
    const out = join(await scratch(), 'run')
    const argv = ['train', ...tiny, '--epochs', '1', '--out', out]
    expect((await command(...argv)).stderr).not.toContain('replaced')
    expect((await command(...argv)).stderr).toContain(`The earlier run in ${out} is replaced.\n`)
  })
})

describe('what cannot be', () => {
  test.each([
    [['--model', 'resnet-2'], 2, /^There is no model called 'resnet-2'; the nearest names are resnet20, /],
    [['--batch', '64', '--limit', '50'], 2, /^--batch 64 is more than the 50 training pictures\.$/],
    [['--batch', '6001'], 2, /^--batch 6001 is more than the 6000 training pictures\.$/],
    [['--data', 'mnist'], 2, /^--data mnist needs --data-root, the folder of its files\.$/],
    [['--data', 'mnist', '--data-root', '/nowhere'], 1, /^\/nowhere\/.* does not exist\.$/],
    [
      ['--optimizer', 'adam', '--momentum', '0.5'],
      2,
      /^--momentum is for sgd and rmsprop; --optimizer adam has none\.$/,
    ],
  ])('%j', async (argv, code, message) => {
    const folder = await scratch()
    const outcome = await command('train', '--out', join(folder, 'run'), ...argv)
    expect(outcome).toMatchObject({ code, stdout: '' })
    expect(sentenceOf(outcome)).toMatch(message)
    expect(await readdir(folder)).toEqual([])
  })

  test('an output folder that is a file, or lies in one', async () => {
    const folder = await scratch()
    await writeFile(join(folder, 'file'), '')
    for (const out of [join(folder, 'file'), join(folder, 'file', 'run')]) {
      const outcome = await command('train', ...tiny, '--out', out)
      expect(outcome).toMatchObject({ code: 1, stdout: '' })
      expect(sentenceOf(outcome)).toBe(`The output folder cannot be used: ${out} has a file where a folder should be.`)
    }
  })

  test('a new folder within new folders is made', async () => {
    const out = join(await scratch(), 'a', 'b', 'c')
    expect(await command('train', ...tiny, '--epochs', '1', '--out', out)).toMatchObject({ code: 0 })
    expect(await readdir(out)).toContain('model.safetensors')
  })

  test.runIf(existsSync('/proc/self'))('an output folder where none can be made', async () => {
    const outcome = await command('train', ...tiny, '--out', '/proc/a/b')
    expect(outcome).toMatchObject({ code: 1, stdout: '' })
    expect(sentenceOf(outcome)).toBe('The output folder cannot be used: /proc/a/b cannot be made.')
  })

  test('a folder in the place of a file', async () => {
    const out = join(await scratch(), 'run')
    await mkdir(join(out, 'checkpoint.safetensors', 'x'), { recursive: true })
    const outcome = await command('train', ...tiny, '--out', out)
    expect(outcome).toMatchObject({ code: 1, stdout: '' })
    expect(outcome.stderr).toMatch(/^error: .*checkpoint\.safetensors is a folder, not a file\.$/m)
  })

  test('a loss that is no number: the step is named, the checkpoint kept', async () => {
    const out = join(await scratch(), 'run')
    const { code, stderr } = await command('train', ...tiny, '--out', out, '--lr', '1e30', '--schedule', 'constant')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: .*expects a finite number, got .* at step \d+ .*checkpoint of step 0 is kept/m)
    expect(await readdir(out)).toContain('checkpoint.safetensors')
  })
})
