/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */

import { optionFaults } from '@convnets/testkit'
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
import { expect, test } from 'vitest'

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

test.each(Object.entries(calls))('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

test('functions that open files have the options of openWeights and their own', async () => {
  const common = 'limits, from, hub, cacheFolder, offline, signal, onProgress, retries, retryDelay, stallTimeout'
  const options = { strict: true, axis: 1 } as object
  await expect(loadWeights(model, bytes, options)).rejects.toThrow(common)
  await expect(readWeights(bytes, options)).rejects.toThrow('got strict')
  await expect(openWeights(bytes, { strict: true } as object)).rejects.toThrow('got strict')
})
