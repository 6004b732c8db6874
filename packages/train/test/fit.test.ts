/** What a run does besides being resumable. */
import { compile, crossEntropy } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { type Backend, BackendError, memory, reference, type Tensor, tensor, tidy, wasm } from '@convnets/tensor'
import { curveSvg, type EpochRecord, evaluate, type FitResult, fit, memoryFolder, type Progress } from '@convnets/train'
import { describe, expect, test, vi } from 'vitest'
import { loaders, small, smallNet } from './small.ts'

describe('fit', () => {
  test('is the loop that one would write by hand', async () => {
    const { train } = loaders()
    const byHand = smallNet()
    byHand.drop = Object.assign(byHand.drop, { p: 0 })
    const manual = new SGD(byHand.parameters(), { lr: 0.1, momentum: 0.9 })
    let sum = 0
    for (const { input, target } of train.epoch(0)) {
      sum += tidy(() => {
        manual.zeroGrad()
        const loss = crossEntropy(byHand.forward(input), target, { labelSmoothing: 0.1 })
        loss.backward()
        manual.step()
        return loss.item() * (input.shape[0] as number)
      })
    }
    const model = smallNet()
    model.drop = Object.assign(model.drop, { p: 0 })
    const result = await fit(model, {
      train,
      optimizer: new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 }),
      epochs: 1,
      loss: (logits, target) => crossEntropy(logits, target, { labelSmoothing: 0.1 }),
    })
    for (const [key, value] of model.stateDict()) {
      expect(Array.from(value.dataSync()), key).toEqual(Array.from(byHand.stateDict().get(key)?.dataSync() ?? []))
    }
    expect(result.history[0]?.train.loss).toBe(sum / 26)
  })

  test.each(['sgd', 'adam'] as const)('runs a compiled model to the same numbers, with %s', async (kind) => {
    const before = memory(wasm).tensors
    const numbers = ({ history }: FitResult) =>
      history.map(({ train, test }) => [train.loss, test?.loss, test?.accuracy])
    const epochs = 6
    const plain = small(kind, epochs)
    const expected = numbers(await plain.run({ clipGradNorm: 1 }))
    const compiled = small(kind, epochs)
    const forward = vi.spyOn(compiled.model.conv, 'forward')
    const run = compile(compiled.model)
    expect(numbers(await compiled.run({ clipGradNorm: 1, forward: run }))).toEqual(expected)
    // Of full batches and the last one, in training two as it is written and one recorded; in evaluation one of each.
    expect(forward).toHaveBeenCalledTimes(2 * 3 + 2 * 2)
    expect(compiled.state()).toEqual(plain.state())
    run.dispose()
    compiled.dispose()
    plain.dispose()
    // Garbage of other tests may have gone.
    expect(memory(wasm).tensors).toBeLessThanOrEqual(before)
  })

  test('learns, and says so', async () => {
    const model = smallNet()
    const result = await fit(model, {
      ...loaders(120),
      optimizer: new SGD(model.parameters(), { lr: 0.2, momentum: 0.9 }),
      epochs: 12,
    })
    expect(result.best?.accuracy).toBeGreaterThan(0.8)
    expect(result.history).toHaveLength(12)
    expect(result.history[11]?.train.loss).toBeLessThan(result.history[0]?.train.loss as number)
    expect(result.steps).toBe(240)
    expect(result.imagesPerSecond).toBeGreaterThan(0)
  })

  test.each([wasm, reference])('leaves nothing behind on %s', async (backend) => {
    const before = memory(backend).tensors
    const run = small()
    await run.run({ clipGradNorm: 1, clipGradValue: 0.5, topK: [2] })
    // A velocity for each of five parameters.
    const lasting = [...run.model.stateDict().values()].length + 5 + run.ema.stateDict().tensors.size
    expect(memory(backend).tensors).toBe(before + lasting)
    expect(run.model.parameters().every(({ grad }) => grad === undefined)).toBe(true)
    run.dispose()
    expect(memory(backend).tensors).toBe(before)
  })

  test('progress counts batches of both phases, epochs and steps', async () => {
    const seen: Progress[] = []
    const batches: number[] = []
    await small().run({
      onProgress: (progress) => void seen.push(progress),
      onBatch: async ({ step }) => void batches.push(step),
    })
    expect(seen.map(({ phase, epoch, batch }) => `${phase} ${epoch} ${batch}`)).toEqual([
      ...[1, 2, 3, 4, 5].map((batch) => `train 1 ${batch}`),
      ...[1, 2, 3].map((batch) => `test 1 ${batch}`),
      ...[1, 2, 3, 4, 5].map((batch) => `train 2 ${batch}`),
      ...[1, 2, 3].map((batch) => `test 2 ${batch}`),
    ])
    expect(batches).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    const last = seen.at(-1)
    expect([last?.batches, last?.step, last?.steps, last?.epochs]).toEqual([3, 10, 10, 2])
    expect(last?.secondsLeft).toBe(0)
  })

  test('modes: trains in training mode, keeps what was frozen, and puts all back', async () => {
    const model = smallNet().eval()
    const modes: boolean[] = []
    const { train } = loaders()
    const optimizer = new SGD(model.parameters(), { lr: 0.1 })
    await fit(model, {
      train,
      optimizer,
      epochs: 1,
      onBatch: () => void modes.push(model.training && model.bn.training),
    })
    expect(modes.every(Boolean)).toBe(true)
    expect([model.training, model.bn.training]).toEqual([false, false])
    model.train()
    model.bn.eval()
    const statistics = () => Array.from(model.bn.stateDict().get('running_mean')?.dataSync() ?? [])
    const before = statistics()
    await fit(model, { ...loaders(), optimizer, epochs: 1 })
    expect(statistics()).toEqual(before)
    expect([model.training, model.bn.training]).toEqual([true, false])
  })

  test('early stopping counts epochs without improvement', async () => {
    const model = smallNet()
    const result = await fit(model, {
      ...loaders(),
      optimizer: new SGD(model.parameters(), { lr: 0 }),
      epochs: 20,
      monitor: 'accuracy',
      earlyStopping: { patience: 3 },
    })
    expect(result.stopped).toBe('early')
    expect(result.epochs).toBe(4)
    expect(result.best?.epoch).toBe(1)
  })

  test('measures the averages where there are some, and the weights where asked', async () => {
    const averaged = await small().run()
    const plain = await small().run({ evaluateEma: false })
    expect(plain.history[0]?.train).toEqual(averaged.history[0]?.train)
    expect(plain.history[0]?.test).not.toEqual(averaged.history[0]?.test)
  })

  test('writes weights, log and curve', async () => {
    const out = memoryFolder()
    const run = small()
    const result = await run.run({ out, topK: [2] })
    const text = async (file: string) => new TextDecoder().decode(await out.read(file))
    const csv = await text('history.csv')
    const [header, ...rows] = csv.trim().split('\n')
    expect(header).toBe('epoch,step,lr,train_loss,train_accuracy,train_top2,test_loss,test_accuracy,test_top2,seconds')
    expect(rows).toHaveLength(2)
    expect(rows[1]?.split(',').slice(0, 2)).toEqual(['2', '10'])
    expect(Number(rows[1]?.split(',')[6])).toBe(result.history[1]?.test?.loss)
    expect(await text('curve.svg')).toContain('<svg')
    for (const file of ['best', 'last', 'ema']) expect(await out.read(`${file}.safetensors`)).toBeDefined()
    const { loadWeights } = await import('@convnets/weights')
    const other = smallNet(5)
    await loadWeights(other, (await out.read('last.safetensors')) as Uint8Array)
    expect(Array.from(other.fc.weight.dataSync())).toEqual(Array.from(run.model.fc.weight.dataSync()))
  })

  test('a device that is read asynchronously gives the same weights and numbers', async () => {
    let reads = 0
    const remote: Backend = Object.create(reference, {
      name: { value: 'remote' },
      readSync: {
        value: () => {
          throw new BackendError('remote: reading is asynchronous')
        },
      },
      read: {
        value: async (buffer: never) => {
          reads++
          await new Promise((resolve) => setTimeout(resolve, 1))
          return await reference.read(buffer)
        },
      },
    })
    const train = async (backend: Backend) => {
      const model = smallNet().to(backend)
      const batches = Array.from({ length: 4 }, (_, i) => ({
        input: tensor(
          Float32Array.from({ length: 72 }, (_, p) => Math.sin(p * (i + 1))),
          { shape: [2, 1, 6, 6], backend },
        ).keep(),
        target: tensor(Int32Array.of(i % 3, (i + 1) % 3), { backend }).keep(),
      }))
      const loader = { length: 4, epoch: (_: number, { from = 0 } = {}) => batches.slice(from) }
      const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 })
      const seen: number[] = []
      const out = memoryFolder()
      const result = await fit(model, {
        train: loader,
        optimizer,
        epochs: 2,
        out,
        onBatch: ({ batch }) => void seen.push(batch),
      })
      return { seen, loss: result.history.map(({ train }) => train), weights: Array.from(await model.fc.weight.data()) }
    }
    const before = memory(reference).tensors
    const expected = await train(reference)
    const middle = memory(reference).tensors
    expect(await train(remote)).toEqual(expected)
    expect(memory(reference).tensors - middle).toBe(middle - before)
    expect(reads).toBeGreaterThan(8)
  })

  test('gives the host a turn while it trains', async () => {
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await small('sgd', 20).run()
    clearInterval(timer)
    expect(turns).toBeGreaterThan(1)
  })
})

describe('evaluate', () => {
  test('means over samples, not over batches', async () => {
    const model = smallNet().eval()
    const { test } = loaders()
    const result = await evaluate(model, test, { topK: [3, 2] })
    let [loss, correct, second] = [0, 0, 0]
    for (const { input, target } of test.epoch(0)) {
      const logits = tidy(() => model.forward(input).dataSync())
      for (const [i, label] of target.dataSync().entries()) {
        const row = Array.from(logits.slice(i * 3, i * 3 + 3))
        loss += Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - (row[label] as number)
        const rank = row.filter((value) => value > (row[label] as number)).length
        if (rank === 0) correct++
        if (rank <= 1) second++
      }
    }
    expect(result.samples).toBe(9)
    expect(result.loss).toBeCloseTo(loss / 9, 6)
    expect(result.accuracy).toBe(correct / 9)
    expect(result.topK).toEqual({ 2: second / 9, 3: 1 })
  })

  test('leaves modes, gradients and memory as they were', async () => {
    const model = smallNet()
    model.bn.eval()
    const before = memory(wasm).tensors
    const progress: number[] = []
    await evaluate(model, loaders().test, { onProgress: ({ batch }) => void progress.push(batch) })
    expect(memory(wasm).tensors).toBe(before)
    expect([model.training, model.bn.training, model.fc.training]).toEqual([true, false, true])
    expect(progress).toEqual([1, 2, 3])
  })

  test('targets that are no class numbers give a loss and no accuracy', async () => {
    const model = smallNet()
    const loader = {
      length: 1,
      epoch: () => [
        {
          input: tensor(new Float32Array(72), { shape: [2, 1, 6, 6] }),
          target: tensor([
            [0, 0, 1],
            [0, 1, 0],
          ]),
        },
      ],
    }
    const result = await evaluate(model, loader, { loss: (output, target) => output.sub(target).square().mean() })
    expect(Object.keys(result).sort()).toEqual(['loss', 'samples', 'seconds'])
  })

  test('an output that holds logits, with a loss of its own', async () => {
    const inner = smallNet()
    const model = Object.assign(smallNet(), {
      forward: (x: Tensor) => ({ logits: inner.forward(x), extra: 1 }),
    })
    const plain = await evaluate(inner, loaders().test)
    const wrapped = await evaluate(model as never, loaders().test)
    expect(wrapped.accuracy).toBe(plain.accuracy)
  })

  test('the signal ends it with its reason, and nothing is left', async () => {
    const before = memory(wasm).tensors
    const model = smallNet()
    const controller = new AbortController()
    const running = evaluate(model, loaders().test, {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await expect(running).rejects.toThrow('enough')
    model.dispose()
    expect(memory(wasm).tensors).toBe(before)
  })
})

describe('curveSvg', () => {
  const record = (epoch: number, loss: number, accuracy?: number): EpochRecord => ({
    epoch,
    step: epoch * 10,
    lr: 0.1,
    train: { loss, ...(accuracy !== undefined && { accuracy }) },
    seconds: epoch,
  })

  test('has as many panels as there are measures, and marks for every epoch', () => {
    const both = curveSvg([record(1, 2, 0.3), record(2, 1, 0.6)])
    expect(both.match(/<circle/g)).toHaveLength(4)
    expect(both).toContain('>Loss<')
    expect(both).toContain('>Accuracy<')
    expect(curveSvg([record(1, 2)])).not.toContain('>Accuracy<')
  })

  test('no epochs, equal values and numbers that are none draw no NaN', () => {
    for (const history of [
      [],
      [record(1, 0, 0)],
      [record(1, Number.NaN), record(2, 1)],
      [record(1, 5), record(2, 5)],
    ]) {
      expect(curveSvg(history)).not.toContain('NaN')
    }
  })

  test('text is escaped', () => {
    expect(curveSvg([record(1, 1)], { title: 'a < b & "c"' })).toContain('a &#60; b &#38; &#34;c&#34;')
  })
})
