/**
 * Sources of kernels: statements of JavaScript that gpu.js translates for the device. An integer local is declared in
 * the one way that gpu.js compiles to a 32-bit integer (it must be seen to count); all others are float32, which is
 * exact up to 2^24 only and would lose the way in a large buffer.
 */
import { BackendError } from '../../errors.ts'

/** How an input lies on the device: as one buffer, or as several of `partLength` elements each. */
export interface Layout {
  readonly parts: number
  readonly partLength: number
}

/** Collects the source of one kernel, which computes element `i` of its output. */
export class Source {
  /** The element that the kernel computes, or the first of several, counted over all parts of the output. */
  readonly i = 'i'
  /** Numbers given at the call, by the names that stand for them. */
  readonly floats: number[] = []
  readonly #layouts: readonly Layout[]
  readonly #tables: number
  readonly #aligned: boolean
  readonly #cells: number
  readonly #lines: string[] = []
  #names = 0

  /** `aligned`: the inputs are given by their parts that lie beside that of the output, in which `i` counts then. */
  constructor(layouts: readonly Layout[], tables: number, aligned: boolean, cells = 1) {
    this.#layouts = layouts
    this.#tables = tables
    this.#aligned = aligned
    this.#cells = cells
  }

  #name(prefix: string): string {
    return `${prefix}${this.#names++}`
  }

  push(statement: string): void {
    this.#lines.push(statement)
  }

  /** A 32-bit integer local. */
  int(expression: string | number): string {
    const name = this.#name('n')
    // Literals among themselves would be taken for floats.
    const value =
      /[a-z]/.test(String(expression)) || typeof expression === 'number' ? expression : `i * 0 + ${expression}`
    this.push(`let ${name} = 0; ${name}++; ${name} = ${value};`)
    return name
  }

  /** A float32 local. */
  float(expression: string | number): string {
    const name = this.#name('v')
    this.push(`let ${name} = ${expression};`)
    return name
  }

  /** A number that may be infinite or differ from call to call. */
  param(value: number): string {
    this.floats.push(value)
    return `p${this.floats.length - 1}`
  }

  set(name: string, expression: string): void {
    this.push(`${name} = ${expression};`)
  }

  /** Element `place` of input `k`. */
  at(k: number, place: string): string {
    const { parts, partLength } = this.#layouts[k] as Layout
    const index = this.#index(place)
    if (parts === 1) return `x${k}_0[${index}]`
    let picked = `x${k}_${parts - 1}[${index} - ${(parts - 1) * partLength}]`
    for (let part = parts - 2; part >= 0; part--) {
      const offset = part === 0 ? index : `${index} - ${part * partLength}`
      picked = `(${index} < ${(part + 1) * partLength} ? x${k}_${part}[${offset}] : ${picked})`
    }
    return picked
  }

  /** Entry `place` of table `k`. */
  table(k: number, place: string): string {
    return `t${k}[${this.#index(place)}]`
  }

  /** An entry of a table as an integer. */
  tableInt(k: number, place: string): string {
    return this.int(`toInt(${this.table(k, place)})`)
  }

  /** A literal would be taken for a float where WebGL wants an integer. */
  #index(place: string): string {
    return /[a-z]/.test(place) ? place : this.int(place)
  }

  /** Runs `body` for k = 0 to `count` - 1; `count` is a number, or an integer that is known on the device only. */
  loop(count: number | string, body: (k: string) => void): void {
    const name = this.#name('k')
    this.push(`for (let ${name} = 0; ${name} < ${count}; ${name}++) {`)
    body(name)
    this.push('}')
  }

  /** `loop`, without one where there is nothing to repeat. */
  repeat(count: number, body: (k: string) => void): void {
    if (count === 1) body('0')
    else this.loop(count, body)
  }

  when(condition: string, body: () => void): void {
    this.push(`if (${condition}) {`)
    body()
    this.push('}')
  }

  /** floor(a / b) of an integer by a positive constant. */
  divide(a: string, b: number): string {
    if (b === 1) return a
    const shift = Math.log2(b)
    return this.int(Number.isInteger(shift) ? `(${a} >> ${shift})` : `idiv(${a}, ${b})`)
  }

  /** Coordinates of element `index` of a row-major array; those along extents of 1 are '0'. */
  coordinates(index: string, extents: readonly number[]): readonly string[] {
    const found: string[] = []
    let rest = index
    for (let axis = extents.length - 1; axis >= 0; axis--) {
      const extent = extents[axis] as number
      if (extent === 1) found.unshift('0')
      else if (extents.slice(0, axis).every((e) => e === 1)) {
        found.unshift(rest)
        rest = '0'
      } else {
        const above = this.divide(rest, extent)
        found.unshift(this.int(`${rest} - ${above} * ${extent}`))
        rest = above
      }
    }
    return found
  }

  /** The integer expression offset + sum of coordinate * stride. */
  place(coordinates: readonly string[], strides: readonly number[], offset = 0): string {
    const terms = coordinates.flatMap((c, axis) => {
      const stride = strides[axis] as number
      if (c === '0' || stride === 0) return []
      return [stride === 1 ? c : `${c} * ${stride}`]
    })
    if (offset !== 0 || terms.length === 0) terms.push(String(offset))
    return terms.length === 1 ? (terms[0] as string) : `(${terms.join(' + ')})`.replaceAll('+ -', '- ')
  }

  /** Where element (c0, c1, ...) of a dense row-major array lies. */
  dense(coordinates: readonly string[], extents: readonly number[]): string {
    const strides = extents.map((_, axis) => extents.slice(axis + 1).reduce((n, extent) => n * extent, 1))
    return this.place(coordinates, strides)
  }

  /** The kernel that returns `result`: one expression, or one for each output of a thread. */
  text(result: string | readonly string[]): string {
    const inputs = this.#layouts.flatMap(({ parts }, k) => Array.from({ length: parts }, (_, part) => `x${k}_${part}`))
    const tables = Array.from({ length: this.#tables }, (_, k) => `t${k}`)
    const names = [...inputs, ...tables, ...this.floats.map((_, k) => `p${k}`), 'base']
    const first = this.#cells === 1 ? 'this.thread.x' : `this.thread.x * ${this.#cells}`
    const returned = typeof result === 'string' ? result : result.length === 1 ? result[0] : `[${result.join(', ')}]`
    return `function (${names.join(', ')}) {\nlet i = 0; i++; i = ${first} + ${this.#aligned ? 'base * 0' : 'base'};\n${this.#lines.join('\n')}\nreturn ${returned};\n}`
  }
}

/** Throws where float32 cannot count to `count` in steps of one. */
export function checkExact(op: string, what: string, count: number): void {
  if (Math.abs(count) > 2 ** 24) {
    throw new BackendError(
      `${op}: ${what} expects at most 2^24 on the gpu backend, whose numbers are float32, got ${count}`,
    )
  }
}
