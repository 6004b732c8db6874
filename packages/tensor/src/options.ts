/** Options by name: what they are where nothing is said, and a word about names that do not exist. */
import { ArgumentError } from './errors.ts'
import { meant } from './nearest.ts'

/** A default for every option of `Options`; undefined where there is none. */
type Defaults<Options> = { readonly [K in keyof Options]-?: Options[K] | undefined }

/** The options with their defaults: all of them are there, and undefined only where the default is. */
export type WithDefaults<Options, D> = {
  readonly [K in keyof Options]-?: D extends { readonly [k in K]: NonNullable<unknown> | null }
    ? Exclude<Options[K], undefined>
    : Options[K] | undefined
}

/** @throws ArgumentError unless `options` is an object. */
export function checkOptionsObject(op: string, options: unknown): asserts options is object {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    const got = Array.isArray(options) ? `[${options}]` : String(options)
    throw new ArgumentError(`${op}: options expects an object, got ${got}`)
  }
}

/**
 * The names of all options of a type, for `checkOptionNames`: the compiler tells which one is missing.
 *
 * ```ts
 * const names = optionNames<ReduceOptions>({ dim: true, keepdim: true })
 * ```
 */
export function optionNames<Options extends object>(
  names: {
    readonly [K in keyof Options]-?: true
  },
): readonly string[] {
  return Object.keys(names)
}

/** @throws ArgumentError unless `options` is an object with no other options than `names`, with the name that may be meant. */
export function checkOptionNames(op: string, options: object, names: readonly string[]): void {
  checkOptionsObject(op, options)
  // Ops are called often: no list is made.
  for (const name in options) if (!names.includes(name)) refuse(op, name, names)
}

function refuse(op: string, wrong: string, names: readonly string[]): never {
  const near = meant(wrong, names)
  const hint = near === undefined ? '' : ` (did you mean ${near}?)`
  throw new ArgumentError(`${op}: options expects one of ${names.join(', ')}, got ${wrong}${hint}`)
}

/**
 * The options of `op` with `defaults` in place of those that are not given. The table of defaults says which options there
 * are, so it names all of them.
 *
 * ```ts
 * const { size, mode } = readOptions('Upsample', options, { size: undefined, mode: 'nearest' })
 * ```
 *
 * @throws ArgumentError for an option that is not in the table.
 */
export function readOptions<Options extends object, const D extends Defaults<Options>>(
  op: string,
  options: Options,
  defaults: D,
): WithDefaults<Options, D> {
  checkOptionNames(op, options, Object.keys(defaults))
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return { ...defaults, ...Object.fromEntries(given) } as unknown as WithDefaults<Options, D>
}
