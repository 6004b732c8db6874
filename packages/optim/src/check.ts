/** Checks of numbers, with sentences for those that are wrong. */
import { ArgumentError } from '@convnets/tensor'

/** What a value is, in a message. */
export function shown(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : Array.isArray(value) ? `[${value.join(', ')}]` : String(value)
}

/** Throws unless `value` is a finite number of at least `least` (and below `below`). */
export function checkNumber(who: string, what: string, value: unknown, least = 0, below: number = Infinity): void {
  if (typeof value === 'number' && Number.isFinite(value) && value >= least && value < below) return
  const range = below === Infinity ? `of at least ${least}` : `from ${least} to below ${below}`
  throw new ArgumentError(`${who}: ${what} expects a number ${range}, got ${shown(value)}`)
}

/** Throws unless `value` is an integer of at least `least`. */
export function checkCount(who: string, what: string, value: unknown, least = 1): void {
  if (Number.isSafeInteger(value) && (value as number) >= least) return
  throw new ArgumentError(`${who}: ${what} expects an integer of at least ${least}, got ${shown(value)}`)
}

/** Throws unless `value` is true or false. */
export function checkSwitch(who: string, what: string, value: unknown): void {
  if (typeof value !== 'boolean') throw new ArgumentError(`${who}: ${what} expects true or false, got ${shown(value)}`)
}

/** Throws unless `value` is a pair of numbers from 0 to below 1. */
export function checkBetas(who: string, value: unknown): void {
  if (!Array.isArray(value) || value.length !== 2) {
    throw new ArgumentError(`${who}: betas expects a pair of numbers, got ${shown(value)}`)
  }
  for (const [i, beta] of value.entries()) checkNumber(who, `betas[${i}]`, beta, 0, 1)
}
