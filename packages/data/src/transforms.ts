/**
 * What a transform is: a plain function from pixels to pixels, which never changes what it is given. Random ones draw from
 * the generator that they are handed; `DataLoader` hands each sample its own, so that a seed repeats a run on any number of
 * workers. Transforms made by this package print as the call that makes them.
 */
import { type Generator, ShapeError } from '@convnets/tensor'
import type { Pixels } from './pixels.ts'

/** A transform that may draw random numbers. Deterministic ones ignore the generator, and fit wherever this is asked. */
export type Transform = (pixels: Pixels, generator: Generator) => Pixels

/** A transform without chance. */
export type DeterministicTransform = (pixels: Pixels) => Pixels

/** A value as it is written in code; what is undefined is left out of objects. */
function literal(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'function') return String(named.has(value) ? value : value.name || 'anonymous')
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (value === null || typeof value !== 'object') return String(value)
  const parts = Object.entries(value)
    .filter(([, part]) => part !== undefined)
    .map(([key, part]) => `${key}: ${literal(part)}`)
  return parts.length === 0 ? '' : `{ ${parts.join(', ')} }`
}

const named: WeakSet<object> = new WeakSet()

/** Gives a transform its name, and makes it print as the call `name(...args)`. */
export function describe<T extends Transform>(name: string, args: readonly unknown[], transform: T): T {
  const text = `${name}(${args.map(literal).filter(Boolean).join(', ')})`
  return printing(transform, name, () => text)
}

function printing<T extends Transform>(transform: T, name: string, text: () => string): T {
  named.add(transform)
  return Object.defineProperties(transform, {
    name: { value: name, configurable: true },
    toString: { value: text, configurable: true },
  })
}

/**
 * Transforms one after the other, first to last. The result is deterministic if all of them are. It prints as its steps,
 * one a line: `console.log(String(compose(resize(256), centerCrop(224))))`.
 */
export function compose(...transforms: readonly DeterministicTransform[]): DeterministicTransform
export function compose(...transforms: readonly Transform[]): Transform
export function compose(...transforms: readonly Transform[]): Transform {
  const steps = [...transforms]
  const run: Transform = (pixels, generator) => steps.reduce((result, step) => step(result, generator), pixels)
  return printing(run, 'compose', () => {
    const lines = steps.map((step) => `  ${literal(step).replaceAll('\n', '\n  ')},\n`)
    return lines.length === 0 ? 'compose()' : `compose(\n${lines.join('')})`
  })
}

/** What `toFloat` makes of each byte: x / 255 in float32. */
export const unit: Float32Array = Float32Array.from({ length: 256 }, (_, byte) => byte / 255)

/** A fill value per channel: one for all, or one each. Throws `ShapeError` for a list of another length. */
export function fillOf(what: string, fill: number | readonly number[], channels: number): readonly number[] {
  if (typeof fill === 'number') return Array<number>(channels).fill(fill)
  if (fill.length !== channels) {
    throw new ShapeError(`${what}: fill expects a number or ${channels} for ${channels} channels, got [${fill}]`)
  }
  return fill
}
