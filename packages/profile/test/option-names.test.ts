/** Options that do not exist are refused, and so is what is no options at all, before anything else happens. */
import { Linear, ReLU } from '@convnets/nn'
import {
  bubbleChart,
  diagram,
  inferenceMemory,
  maxBatch,
  measurePeak,
  profile,
  report,
  Trace,
  trace,
  trainingMemory,
} from '@convnets/profile'
import { ones } from '@convnets/tensor'
import { optionFaults } from '@convnets/testkit'
import { expect, test } from 'vitest'

const model = new Linear(3, 2)
const profiled = profile(model, [3])
const traced = new Trace(1, [], [], new Map(), undefined)

/** Every function and class with options, called with wrong ones. */
const calls: Readonly<Record<string, (options: never) => unknown>> = {
  bubbleChart: (options) => bubbleChart([], options),
  diagram: (options) => diagram(profiled, options),
  inferenceMemory: (options) => inferenceMemory(model, [3], options),
  maxBatch: (options) => maxBatch(model, [3], 2 ** 30, options),
  measurePeak: (options) => measurePeak(options),
  profile: (options) => profile(model, [3], options),
  report: (options) => report(profiled, options),
  trace: (options) => trace(model, ones([1, 3]), options),
  trainingMemory: (options) => trainingMemory(model, [3], options),
}

test.each(Object.entries(calls))('%s', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

/** The methods, under their own names. */
test.each<[string, (options: never) => unknown]>([
  ['inferenceMemory', (options) => profiled.inferenceMemory(options)],
  ['maxBatch', (options) => profiled.maxBatch(2 ** 30, options)],
  ['table', (options) => profiled.table(options)],
  ['table', (options) => traced.table(options)],
  ['trainingMemory', (options) => profiled.trainingMemory(options)],
])('%s of a profile or trace', async (name, call) => {
  expect(await optionFaults(name, call)).toEqual([])
})

test('plans have the options of plans', () => {
  expect(inferenceMemory(new ReLU(), [3], { threads: 1, precision: 'strict' })).toBeGreaterThan(0)
  expect(trainingMemory(model, [3], { threads: 1, precision: 'strict', batch: 2 }).batch).toBe(2)
  expect(profiled.maxBatch(2 ** 22, { threads: 1 })).toBeGreaterThan(1)
})
