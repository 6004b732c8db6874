/** NaN, full disks, foreign checkpoints and options that cannot be followed: typed sentences, and checkpoints that stay whole. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { EMA, SGD } from '@convnets/optim'
import {
  ArgumentError,
  ConvnetsError,
  FormatError,
  isGradEnabled,
  memory,
  ShapeError,
  type Tensor,
  wasm,
} from '@convnets/tensor'
import {
  evaluate,
  type FitOptions,
  fit,
  memoryFolder,
  NonFiniteError,
  OutputError,
  type RunFolder,
  type TrainingBatch,
} from '@convnets/train'
import { afterAll, describe, expect, test } from 'vitest'
import { loaders, SmallNet, small, smallNet } from './small.ts'

const scratch = mkdtempSync(join(tmpdir(), 'convnets-train-'))
afterAll(() => rmSync(scratch, { recursive: true }))

async function caught(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise
  } catch (error) {
    return error as Error
  }
  throw new Error('nothing was thrown')
}

const systemError = (code: string) => Object.assign(new Error(`${code}: something`), { code })

/** A disk that is full from its `room`-th write on. */
function smallDisk(room: number, code = 'ENOSPC'): RunFolder & { writes: number } {
  const folder = memoryFolder('runs/first')
  return {
    ...folder,
    writes: 0,
    async write(file, bytes) {
      if (this.writes++ >= room) throw systemError(code)
      await folder.write(file, bytes)
    },
  }
}

describe('numbers that are none', () => {
  const poisoned = (at: number, value: number): NonNullable<FitOptions<Tensor, TrainingBatch>['loss']> =>
    (() => {
      let step = 0
      return (logits) => (isGradEnabled() && ++step === at ? logits.sum().mul(value) : logits.square().mean())
    })()

  test.each([
    [7, Number.NaN, 'NaN', 'step 7 (epoch 2, batch 2 of 5)'],
    [1, Infinity, '-?Infinity', 'step 1 (epoch 1, batch 1 of 5)'],
  ])(
    'a loss at step %d: the message says where, weights and checkpoint are from before',
    async (at, value, got, where) => {
      const out = memoryFolder('runs/first')
      const run = small()
      const states: unknown[] = [run.state()]
      const error = await caught(
        run.run({ out, loss: poisoned(at, value), checkpointEvery: 1, onBatch: () => void states.push(run.state()) }),
      )
      expect(error).toBeInstanceOf(NonFiniteError)
      const escaped = where.replace(/[()]/g, '\\$&')
      expect(error.message).toMatch(
        new RegExp(
          `^fit: loss expects a finite number, got ${got} at ${escaped}; the checkpoint of step ${at - 1} is kept in runs/first; `,
        ),
      )
      expect((error as NonFiniteError).step).toBe(at)
      // Running statistics take part in the forward pass; parameters and optimizer state are those of the step before.
      const parameters = (state: unknown) =>
        Object.entries(state as Record<string, number[]>).filter(
          ([key]) => !key.includes('running') && !key.includes('num_'),
        )
      expect(parameters(run.state())).toEqual(parameters(states.at(-1)))
      const resumed = small()
      const result = await resumed.run({ out, resume: 'auto' })
      expect(result.stopped).toBe('completed')
    },
  )

  test('weights that are no numbers never take the place of a checkpoint', async () => {
    const out = memoryFolder('runs/first')
    const run = small()
    const error = await caught(
      run.run({
        out,
        checkpointEvery: 2,
        onBatch: ({ step }) => {
          if (step === 4) run.model.fc.weight.assign_(run.model.fc.weight.dataSync().fill(Infinity, 0, 1))
        },
      }),
    )
    expect(error).toBeInstanceOf(NonFiniteError)
    expect(error.message).toMatch(
      /^fit: fc.weight expects finite numbers, got NaN or infinity after step 4 \(epoch 1\); the checkpoint of step 2 is kept/,
    )
    const whole = small()
    await whole.run()
    const resumed = small()
    await resumed.run({ out, resume: 'auto' })
    expect(resumed.state()).toEqual(whole.state())
  })
})

describe('disks', () => {
  test('a full one is found out before the first step', async () => {
    const steps: number[] = []
    const error = await caught(small().run({ out: smallDisk(0), onBatch: ({ step }) => void steps.push(step) }))
    expect(error).toBeInstanceOf(OutputError)
    expect(error.message).toBe(
      'fit: out expects a folder that can be written to, with room for 0.1 MB, got runs/first: no space is left on the device (ENOSPC)',
    )
    expect(error.cause).toMatchObject({ code: 'ENOSPC' })
    expect(steps).toEqual([])
  })

  test('one that fills up in the middle keeps the last checkpoint, from which the run goes on', async () => {
    const whole = small()
    await whole.run()
    for (let room = 1; room < 12; room++) {
      const disk = smallDisk(room)
      const error = await caught(small().run({ out: disk, checkpointEvery: 2 }))
      expect(error).toBeInstanceOf(OutputError)
      expect(error.message).toMatch(
        /^fit: [a-z]+\.[a-z]+ could not be written to runs\/first: no space is left on the device \(ENOSPC\); the checkpoint of step \d+ is kept in runs\/first, and resume goes on from there$/,
      )
      const resumed = small()
      await resumed.run({ out: { ...disk, write: async () => {} }, resume: 'auto' })
      expect(resumed.state(), `room for ${room} files`).toEqual(whole.state())
      resumed.dispose()
    }
  })

  test('a read-only one', async () => {
    const error = await caught(small().run({ out: smallDisk(0, 'EROFS') }))
    expect(error.message).toMatch(/got runs\/first: the file system is read-only \(EROFS\)$/)
  })

  test('a path through a file', async () => {
    const file = join(scratch, 'file')
    writeFileSync(file, '')
    const error = await caught(small().run({ out: join(file, 'run') }))
    expect(error).toBeInstanceOf(OutputError)
    expect(error.message).toMatch(
      /^fit: out expects a folder that can be written to, .*: part of the path is a file \(ENOTDIR\)$/,
    )
  })

  test('a real one: files are there, no temporary ones are left, and resume takes a file or a folder', async () => {
    const out = join(scratch, 'a', 'b')
    const controller = new AbortController()
    const first = small()
    await first.run({
      out,
      signal: controller.signal,
      onBatch: ({ step }) => {
        if (step === 7) controller.abort()
      },
    })
    expect(readdirSync(out).sort()).toEqual(['best.safetensors', 'checkpoint.safetensors', 'curve.svg', 'history.csv'])
    const whole = small()
    await whole.run()
    for (const resume of [out, join(out, 'checkpoint.safetensors')]) {
      const second = small()
      const result = await second.run({ resume })
      expect(second.state()).toEqual(whole.state())
      expect(result.steps).toBe(10)
    }
  })
})

describe('checkpoints of something else', () => {
  const made = async () => {
    const out = memoryFolder('runs/first')
    await small('sgd', 1).run({ out })
    return out
  }

  test.each([
    [
      'another batch size',
      { train: { ...loaders().train, length: 5, batchSize: 7, seed: 3, epoch: () => [] } },
      /expects a batch size of 6 as in the checkpoint, got 7; resume: false starts anew$/,
    ],
    [
      'another number of batches',
      { train: loaders(60).train },
      /expects batches per epoch 5 as in the checkpoint, got 10;/,
    ],
    [
      'another order',
      { train: { length: 5, batchSize: 6, seed: 8, epoch: () => [] } },
      /expects a loader with seed 3 as in the checkpoint, got 8;/,
    ],
  ])('%s', async (_, change, message) => {
    const out = await made()
    const run = small()
    const before = run.state()
    const error = await caught(run.run({ ...change, out, resume: 'auto' }))
    expect(error).toBeInstanceOf(ArgumentError)
    expect(error.message).toMatch(/^fit: resume from runs\/first\/checkpoint.safetensors /)
    expect(error.message).toMatch(message)
    expect(run.state()).toEqual(before)
  })

  test('another model, another optimizer, no averages', async () => {
    const out = await made()
    const model = new SmallNet(5)
    const optimizer = new SGD(model.namedParameters(), { lr: 0.1 })
    const other = await caught(
      fit(model, { ...loaders(), optimizer, ema: new EMA(model), epochs: 1, out, resume: 'auto' }),
    )
    expect(other).toBeInstanceOf(ShapeError)
    expect(other.message).toMatch(/expects fc.bias of shape \(3\), got \(5\)$/)
    const adam = await caught(small('adam').run({ out, resume: 'auto' }))
    expect(adam.message).toBe("Adam.loadStateDict: state expects that of Adam, got 'SGD'")
    const plain = smallNet()
    const none = await caught(
      fit(plain, { ...loaders(), optimizer: new SGD(plain.namedParameters()), epochs: 1, out, resume: 'auto' }),
    )
    expect(none.message).toMatch(/expects moving averages \(ema\) given as in the checkpoint, got none/)
  })

  test('no checkpoint, and a file that is none', async () => {
    const missing = await caught(small().run({ resume: join(scratch, 'nowhere') }))
    expect(missing).toBeInstanceOf(ArgumentError)
    expect(missing.message).toMatch(
      /^fit: resume expects a checkpoint or the folder of a run, got .*nowhere, where there is none$/,
    )
    const out = await made()
    const weights = join(scratch, 'weights.safetensors')
    writeFileSync(weights, (await out.read('best.safetensors')) as Uint8Array)
    const error = await caught(small().run({ resume: weights }))
    expect(error).toBeInstanceOf(FormatError)
    expect(error.message).toMatch(/expected a checkpoint \(format convnets.checkpoint\), got pt$/)
  })

  test('a damaged checkpoint is a typed error wherever it is cut, and leaves nothing in memory', async () => {
    const out = await made()
    const bytes = (await out.read('checkpoint.safetensors')) as Uint8Array
    const run = small()
    const before = [run.state(), memory(wasm).tensors]
    for (let i = 0; i < 40; i++) {
      const length = Math.floor((i * bytes.length) / 40)
      const cut = { ...out, read: async () => bytes.slice(0, length) }
      const error = await caught(run.run({ out: cut, resume: 'auto' }))
      expect(error, `cut at ${length}`).toBeInstanceOf(FormatError)
    }
    expect([run.state(), memory(wasm).tensors]).toEqual(before)
  })

  test('a flipped bit in the state of the run is a typed error, or a run like any other', async () => {
    const out = await made()
    const bytes = (await out.read('checkpoint.safetensors')) as Uint8Array
    const [from, to] = [8, 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))]
    let refused = 0
    const run = small('sgd', 1)
    for (let i = 0; i < 250; i++) {
      const at = from + Math.floor((i * (to - from)) / 250)
      const changed = bytes.slice()
      changed[at] = (changed[at] as number) ^ (1 << (i % 7))
      const folder = { ...out, read: async () => changed }
      const error = await run.run({ out: folder, resume: 'auto', signal: AbortSignal.abort() }).then(
        () => undefined,
        (error: unknown) => error,
      )
      if (error === undefined) continue
      refused++
      expect(error, `bit ${i % 7} of byte ${at}`).toBeInstanceOf(ConvnetsError)
    }
    expect(refused).toBeGreaterThan(100)
  })

  test('resume false begins anew over an old run', async () => {
    const out = await made()
    const run = small('sgd', 1)
    const result = await run.run({ out })
    expect(result.steps).toBe(5)
    expect(result.history).toHaveLength(1)
  })
})

describe('options', () => {
  const wrong = (value: unknown): never => value as never
  const loader = (length: number) => ({ length, epoch: () => [] })
  test.each<[string, Partial<FitOptions<Tensor, TrainingBatch>>, string]>([
    ['no loader', { train: wrong(undefined) }, 'fit: train expects a loader with length and epoch(), got undefined'],
    ['an empty loader', { train: loader(0) }, 'fit: train expects at least one batch, got 0'],
    ['an empty test loader', { test: loader(0) }, 'fit: test expects at least one batch, got 0'],
    ['no optimizer', { optimizer: wrong('sgd') }, 'fit: optimizer expects one of @convnets/optim, got sgd'],
    [
      'a forward that is none',
      { forward: wrong({}) },
      'fit: forward expects a function, such as compile(model) gives, got object',
    ],
    ['no epochs', { epochs: 0 }, 'fit: epochs expects a positive integer, got 0'],
    ['half an epoch', { epochs: 0.5 }, 'fit: epochs expects a positive integer, got 0.5'],
    ['a bound of 0', { clipGradNorm: 0 }, 'fit: clipGradNorm expects a number above 0, got 0'],
    ['a bound that is none', { clipGradValue: Number.NaN }, 'fit: clipGradValue expects a number above 0, got NaN'],
    ['averages that are none', { ema: wrong(0.9) }, 'fit: ema expects an EMA of @convnets/optim, got 0.9'],
    ['something to monitor', { monitor: wrong('f1') }, "fit: monitor expects 'accuracy' or 'loss', got 'f1'"],
    ['patience', { earlyStopping: { patience: 0 } }, 'fit: earlyStopping.patience expects a positive integer, got 0'],
    [
      'no patience',
      { earlyStopping: wrong({ minDelta: 0.1 }) },
      'fit: earlyStopping.patience expects a positive integer, got undefined',
    ],
    [
      'an improvement that is no number',
      { earlyStopping: { patience: 1, minDelta: wrong('0.1') } },
      'fit: earlyStopping.minDelta expects a number of at least 0, got 0.1',
    ],
    ['a bound in quotes', { clipGradNorm: wrong('1') }, 'fit: clipGradNorm expects a number above 0, got 1'],
    ['a schedule that is a rate', { schedule: wrong(0.1) }, 'fit: schedule expects a function, got number'],
    ['a loss by name', { loss: wrong('mse') }, 'fit: loss expects a function, got string'],
    ['a callback that is none', { onEpoch: wrong(3) }, 'fit: onEpoch expects a function, got number'],
    ['a signal that is none', { signal: wrong(3) }, 'fit: signal expects that of an AbortController, got 3'],
    ['evaluateEma', { evaluateEma: wrong('no') }, 'fit: evaluateEma expects true or false, got no'],
    ['a folder that is none', { out: wrong(5) }, 'fit: out expects a path, or a folder such as memoryFolder(), got 5'],
    ['resume true', { resume: wrong(true) }, "fit: resume expects 'auto', a path or false, got true"],
    [
      'batches of another kind',
      { train: { length: 1, epoch: () => [wrong({ x: 1, y: 2 })] } },
      'fit: a batch expects an input (N, ...), a tensor, and a target, got the fields x, y',
    ],
    ['topK that is a number', { topK: wrong(5) }, 'fit: topK expects a list such as [5], got 5'],
    ['topK', { topK: [0] }, 'fit: topK expects positive integers, got 0'],
    ['topK above the classes', { topK: [4] }, 'topK: expects at most the 3 classes, got 4'],
    ['seed', { seed: -1 }, 'Generator: seed expects a non-negative integer up to 2^53 - 1, got -1'],
    [
      'resume without a folder',
      { resume: 'auto' },
      "fit: resume 'auto' expects an output folder (out) to look for a checkpoint in, got none",
    ],
    [
      'checkpoints without a folder',
      { checkpointEvery: 1 },
      'fit: checkpointEvery expects an output folder (out) for checkpoints, got none',
    ],
    [
      'one that does not exist',
      wrong({ clip_gradnorm: 1 }),
      'fit: options expects one of train, test, optimizer, epochs, forward, loss, logits, schedule, clipGradNorm, clipGradValue, ema, evaluateEma, topK, monitor, earlyStopping, seed, out, resume, checkpointEvery, signal, onBatch, onEpoch, onProgress, onCheckpoint, got clip_gradnorm (did you mean clipGradNorm?)',
    ],
    [
      'a loss per sample',
      { loss: (logits) => logits.mean({ dim: 1 }) },
      'fit: loss expects to give one number, such as a mean over the batch, got (6)',
    ],
    [
      'a loss that is a number',
      { loss: wrong(() => 3) },
      'fit: loss expects to give one number, such as a mean over the batch, got 3',
    ],
  ])('%s', async (_, options, message) => {
    const run = small()
    const before = [run.state(), memory(wasm).tensors]
    const error = await caught(run.run(options))
    expect(error).toBeInstanceOf(ArgumentError)
    expect(error.message).toBe(message)
    // Running statistics of the one forward pass aside.
    const weights = Object.entries(run.state()).filter(([key]) => !/running|num_/.test(key))
    expect(weights).toEqual(Object.entries(before[0] as object).filter(([key]) => !/running|num_/.test(key)))
    expect(memory(wasm).tensors).toBe(before[1])
    run.dispose()
  })

  test('a model without logits needs a loss', async () => {
    const model = Object.assign(smallNet(), { forward: () => 5 })
    const error = await caught(evaluate(model as never, loaders().test))
    expect(error.message).toBe(
      'evaluate: loss expects a function for a model whose output has no logits, got undefined',
    )
  })

  test('an error inside of a step leaves no gradients and no tensors', async () => {
    const run = small()
    const before = memory(wasm).tensors
    await caught(
      run.run({
        loss: (logits) => {
          logits.sum().backward()
          throw new Error('mine')
        },
      }),
    )
    expect(memory(wasm).tensors).toBe(before)
    expect(run.model.training).toBe(true)
  })
})

test('the log on disk is the one in the result', async () => {
  const out = join(scratch, 'log')
  const result = await small().run({ out })
  const rows = readFileSync(join(out, 'history.csv'), 'utf8').trim().split('\n').slice(1)
  expect(rows.map((row) => Number(row.split(',')[3]))).toEqual(result.history.map(({ train }) => train.loss))
})
