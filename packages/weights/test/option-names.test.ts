/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { ArgumentError } from '@convnets/tensor'
import {
  loadWeights,
  openCheckpoint,
  openWeights,
  parseSafetensors,
  readSafetensors,
  readWeights,
  saveWeights,
  serializeSafetensors,
  type WithState,
  writeSafetensors,
  writeWeights,
} from '@convnets/weights'
import { describe, expect, test } from 'vitest'

const bytes = new Uint8Array(3)
/** Nobody may get as far as its tensors. */
const model: WithState = {
  stateDict() {
    throw new Error('the state dict was asked for')
  },
}

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  loadWeights: (options) => loadWeights(model, bytes, options),
  openCheckpoint: (options) => openCheckpoint(bytes, options),
  openWeights: (options) => openWeights(bytes, options),
  parseSafetensors: (options) => parseSafetensors(bytes, options),
  readSafetensors: (options) => readSafetensors(bytes, options),
  readWeights: (options) => readWeights(bytes, options),
  saveWeights: (options) => saveWeights(model, '/nowhere/model.safetensors', options),
  serializeSafetensors: (options) => serializeSafetensors(new Map(), options),
  writeSafetensors: (options) => writeSafetensors(new Map(), options),
  writeWeights: (options) => writeWeights(new Map(), '/nowhere/model.safetensors', options),
  // Of functions with limits among their options.
  limits: (limits) => openWeights(bytes, { limits }),
}

describe.each(Object.entries(calls))('%s', (name, call) => {
  test.each<[unknown, string]>([
    [{ axis: 1 }, 'options expects one of .*, got axis'],
    [1, 'options expects an object, got 1'],
    [null, 'options expects an object, got null'],
    [[1], 'options expects an object, got \\[1\\]'],
  ])('refuses %j', async (options, message) => {
    const error = await Promise.resolve()
      .then(() => call(options as never))
      .catch((error: unknown) => error)
    expect(error).toBeInstanceOf(ArgumentError)
    expect((error as Error).message).toMatch(new RegExp(`^${name}: ${message}`))
  })
})

test('functions that open files have the options of openWeights and their own', async () => {
  const common = 'limits, from, hub, cacheFolder, offline, signal, onProgress, retries, retryDelay, stallTimeout'
  const options = { strict: true, axis: 1 } as object
  await expect(loadWeights(model, bytes, options)).rejects.toThrow(common)
  await expect(readWeights(bytes, options)).rejects.toThrow('got strict')
  await expect(openWeights(bytes, { strict: true } as object)).rejects.toThrow('got strict')
})
