/** Options with their defaults, and what is said of those that do not exist. */
import { ArgumentError, checkOptionNames, readOptions } from '@convnets/tensor'
import { describe, expect, test } from 'vitest'

interface Options {
  readonly size?: number
  readonly mode?: 'nearest' | 'bilinear'
  readonly alignCorners?: boolean
}

const read = (options: unknown): unknown =>
  readOptions('resize', options as Options, { size: undefined, mode: 'nearest', alignCorners: false })

describe('readOptions', () => {
  test('gives the table of defaults where nothing is said', () => {
    expect(read({})).toEqual({ size: undefined, mode: 'nearest', alignCorners: false })
  })

  test('takes what is given over, except undefined', () => {
    expect(read({ size: 3, mode: undefined, alignCorners: null })).toEqual({
      size: 3,
      mode: 'nearest',
      alignCorners: null,
    })
  })

  test.each([
    [{ aligncorners: true }, 'got aligncorners (did you mean alignCorners?)'],
    [{ align_corners: true }, 'got align_corners (did you mean alignCorners?)'],
    [{ size: 2, mdoe: 'bilinear' }, 'got mdoe (did you mean mode?)'],
    [{ antialias: undefined }, 'got antialias'],
    [{ toString: 1 }, 'got toString'],
  ])('refuses %j', (options, got) => {
    const error = (() => {
      try {
        return read(options)
      } catch (error) {
        return error
      }
    })()
    expect(error).toBeInstanceOf(ArgumentError)
    expect((error as Error).message).toBe(`resize: options expects one of size, mode, alignCorners, ${got}`)
  })

  test.each([[10], ['bilinear'], [null], [true]])('refuses %j, which is no object', (options) => {
    expect(() => read(options)).toThrow(`resize: options expects an object, got ${options}`)
  })
})

test('checkOptionNames lets known options pass', () => {
  expect(() => checkOptionNames('resize', { size: 1 }, ['size', 'mode'])).not.toThrow()
})
