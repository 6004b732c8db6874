/** Small helpers of the tests. */
import { Module } from '@convnets/nn'
import type { Tensor } from '@convnets/tensor'
import { expect } from 'vitest'

/** The elements in logical order. */
export const values = (t: Tensor | undefined): number[] => Array.from(t?.dataSync() ?? [])

/** Expects elements within an absolute tolerance. */
export function expectValues(t: Tensor | undefined, expected: readonly number[], tolerance = 1e-6): void {
  const actual = values(t)
  expect(actual).toHaveLength(expected.length)
  actual.forEach((value, i) => {
    expect(
      Math.abs(value - (expected[i] ?? Number.NaN)),
      `element ${i}: ${value}, not ${expected[i]}`,
    ).toBeLessThanOrEqual(tolerance)
  })
}

/** A module that is nothing but its fields. */
export abstract class Fields extends Module {
  forward(x: Tensor): Tensor {
    return x
  }
}
