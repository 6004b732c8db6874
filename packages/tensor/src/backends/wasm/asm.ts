/**
 * A small WebAssembly assembler: kernels are written with it as typed expressions and emitted at run time.
 *
 * A `Value` is the code of an expression. It is a recipe, not a register: used twice, it is computed twice; `let` keeps
 * it in a local. A number stands for a constant of the type an instruction expects, so `i32.add(p, 16)` and
 * `f32x4.mul(x, 0.5)` read as they are meant. Memory instructions take a byte address and a constant byte offset;
 * addresses need no alignment.
 *
 * ```ts
 * const m = new ModuleBuilder()
 * m.func('scale', ['i32', 'i32', 'f32'], (b, from, to, factor) => {
 *   const s = b.let(f32x4.splat(factor))
 *   b.for(b.let(from), to, 16, (p) => b.emit(v128.store(p, f32x4.mul(v128.load(p), s))))
 * })
 * const module = new WebAssembly.Module(m.encode({ initial: 1, maximum: 16 }))
 * ```
 */
/** Types of values in registers. `v128` is read as lanes by the instruction: `f32x4`, `i32x4`, `f64x2`, `i64x2`. */
export type Type = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'

/**
 * Bytes, and code that stands for its bytes. Kernels are emitted in programs that have just begun, where every step is slow:
 * what an expression is made of is referred to, and written once, when its function is complete.
 */
type Code = readonly (number | Code)[]

/** The code of an expression that leaves one value of type `T`; `void` leaves none. */
export interface Value<T extends Type | 'void' = Type> {
  readonly type: T
  readonly code: Code
}

/** A register of the function being built; as a value, its content. */
export interface Local<T extends Type = Type> extends Value<T> {
  readonly index: number
}

/** What an instruction takes: an expression, or a number that becomes a constant. */
export type Operand<T extends Type> = Value<T> | number

type Effect = Value<'void'>
type Lanes = 'i32x4' | 'i64x2' | 'f32x4' | 'f64x2'
/** What a constant operand becomes: a number, or the same number in all lanes. */
type Kind = Type | Lanes

const typeCode: Record<Type, number> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b }

// --- encoding ---

/** LEB128, unsigned. */
function unsigned(n: number): number[] {
  const bytes: number[] = []
  for (; n > 127; n = Math.floor(n / 128)) bytes.push((n % 128) | 128)
  bytes.push(n)
  return bytes
}

/** LEB128, signed; exact for every integer a double can hold. */
function signed(n: number): number[] {
  const bytes: number[] = []
  for (; n < -64 || n > 63; n = Math.floor(n / 128)) bytes.push((((n % 128) + 128) % 128) | 128)
  bytes.push(n & 127)
  return bytes
}

/** Opcodes of SIMD and bulk instructions are written as `prefix * 4096 + opcode`. */
function opcode(n: number): number[] {
  return n < 256 ? [n] : [n >> 12, ...unsigned(n & 4095)]
}

/** A number, or lanes that hold the values over and over. */
function constant(kind: Kind, values: readonly number[]): number[] {
  if (kind === 'i32') return [0x41, ...signed(values[0]! | 0)]
  if (kind === 'i64') return [0x42, ...signed(values[0]!)]
  const count = kind === 'v128' ? 16 : kind === 'f32' || kind === 'f64' ? 1 : Number(kind.at(-1))
  const lanes = Array.from({ length: count }, (_, i) => values[i % values.length]!)
  const array = kind === 'i64x2' ? BigInt64Array.from(lanes, BigInt) : new laneArrays[kind](lanes)
  const code = kind === 'f32' ? [0x43] : kind === 'f64' ? [0x44] : [0xfd, 12]
  return [...code, ...new Uint8Array(array.buffer)]
}

const laneArrays = {
  f32: Float32Array,
  f64: Float64Array,
  v128: Uint8Array,
  f32x4: Float32Array,
  f64x2: Float64Array,
  i32x4: Int32Array,
}

function codeOf(kind: Kind, operand: Value | number): Code {
  return typeof operand === 'number' ? constant(kind, [operand]) : operand.code
}

/** An instruction of as many operands as there are kinds, followed by immediate bytes. */
function instruction<R extends Type | 'void'>(
  type: R,
  opcode: Code,
  kinds: readonly Kind[],
  operands: readonly (Value | number)[],
  immediate?: Code,
): Value<R> {
  const code: (number | Code)[] = []
  for (let i = 0; i < kinds.length; i++) code.push(codeOf(kinds[i]!, operands[i]!))
  code.push(opcode)
  if (immediate !== undefined) code.push(immediate)
  return { type, code }
}

/** The bytes that `code` stands for, behind those of `bytes`. */
function bytesOf(code: Code, bytes: number[] = []): number[] {
  for (let i = 0; i < code.length; i++) {
    const item = code[i]!
    if (typeof item === 'number') bytes.push(item)
    else bytesOf(item, bytes)
  }
  return bytes
}

// --- instructions ---

/**
 * Instructions by signature: `@` and the first opcode in hexadecimal, then the names of it and of those that follow it;
 * `-` skips one. An operand of kind `address` brings a constant byte offset, which may be given last; `lane` is the
 * number of a lane. Names end in `U` where the operands are unsigned.
 */
type Table = Readonly<Record<string, string>>

type Split<S extends string> = S extends `${infer Head} ${infer Tail}` ? [Head, ...Split<Tail>] : [S]
type Names<S extends string> = Exclude<Split<S>[number], `@${string}` | '-'>
type TypeOf<K> = K extends Lanes | 'v128' ? 'v128' : K extends Type ? K : 'i32'
type Operands<K> = { [I in keyof K]: K[I] extends 'lane' ? number : Operand<TypeOf<K[I]>> }
type Instruction<K extends readonly string[], R> = K extends readonly ['address', ...string[]]
  ? (...operands: [...Operands<K>, offset?: number]) => Value<R extends Type | 'void' ? R : never>
  : (...operands: Operands<K>) => Value<R extends Type | 'void' ? R : never>
type All<T> = (T extends unknown ? (x: T) => void : never) extends (x: infer I) => void ? I : never
/** What `instructions` makes of a table. */
type Instructions<T extends Table, R extends Type> = All<
  {
    [S in keyof T & string]: S extends `${infer K} -> ${infer R}`
      ? { readonly [N in Names<T[S]>]: Instruction<Split<K>, R> }
      : never
  }[keyof T & string]
> & { const(...values: number[]): Value<R> }

function instructions<T extends Table, R extends Type>(kind: Kind, type: R, table: T): Instructions<T, R> {
  const made: Record<string, unknown> = { const: (...values: number[]) => ({ type, code: constant(kind, values) }) }
  for (const [signature, names] of Object.entries(table)) {
    const [kinds, result] = signature.split(' -> ').map((part) => part.split(' ')) as [string[], [Type | 'void']]
    const operands = kinds.filter((kind) => kind !== 'lane').map((kind) => (kind === 'address' ? 'i32' : kind) as Kind)
    const lane = kinds.indexOf('lane')
    let next = 0
    for (const name of names.split(' ')) {
      if (name.startsWith('@')) {
        next = Number.parseInt(name.slice(1), 16)
        continue
      }
      const code = opcode(next++)
      made[name] = (...args: (Value | number)[]) => {
        const immediate = kinds[0] === 'address' ? [0, ...unsigned((args[kinds.length] ?? 0) as number)] : []
        if (lane >= 0) immediate.push(...(args.splice(lane, 1) as number[]))
        return instruction(result[0], code, operands, args, immediate)
      }
    }
  }
  return made as Instructions<T, R>
}

const tables = {
  i32: {
    'i32 i32 -> i32': '@46 eq ne lt ltU gt gtU le leU ge geU @6a add sub mul div divU rem remU and or xor shl shr shrU',
    'i64 -> i32': '@a7 wrap',
    'address -> i32': '@28 load @2c load8 load8U',
    'address i32 -> void': '@36 store @3a store8',
  },
  i64: {
    'i64 i64 -> i64': '@7c add sub mul div divU rem remU and or xor shl shr shrU',
    'i32 -> i64': '@ac extend extendU',
    'address -> i64': '@29 load',
    'address i64 -> void': '@37 store',
  },
  f32: {
    'f32 f32 -> f32': '@92 add sub mul div min max',
    'i32 -> f32': '@b2 fromI32 fromI32U',
    'address -> f32': '@2a load',
    'address f32 -> void': '@38 store',
  },
  v128: {
    'address -> v128': '@fd000 load @fd007 load8Splat load16Splat load32Splat load64Splat @fd05c load32Zero load64Zero',
    'address v128 -> void': '@fd00b store',
    'address v128 lane -> v128': '@fd056 load32Lane load64Lane',
    'address v128 lane -> void': '@fd058 store8Lane store16Lane store32Lane store64Lane',
    'v128 -> v128': '@fd04d not',
    'v128 v128 -> v128': '@fd00e swizzle @fd04e and andnot or xor',
    'v128 v128 v128 -> v128': '@fd052 bitselect',
  },
  f32x4: {
    'f32 -> v128': '@fd013 splat',
    'f32x4 lane -> f32': '@fd01f extract',
    'f32x4 lane f32 -> v128': '@fd020 replace',
    'f32x4 f32x4 -> v128': '@fd041 eq ne lt gt le ge @fd0e4 add sub mul div min max pmin pmax',
    'f32x4 -> v128': '@fd067 ceil floor trunc nearest @fd0e0 abs neg - sqrt',
    'f64x2 -> v128': '@fd05e fromF64',
    'i32x4 -> v128': '@fd0fa fromI32 fromI32U',
    'f32x4 f32x4 f32x4 -> v128': '@fd105 madd nmadd',
  },
  f64x2: {
    'f64 -> v128': '@fd014 splat',
    'i32x4 -> v128': '@fd0fe fromI32 fromI32U',
    'f64x2 f64x2 -> v128': '@fd047 eq ne lt gt le ge @fd0f0 add sub mul div min max pmin pmax',
    'f64x2 -> v128': '@fd0ec abs neg - sqrt',
    'f32x4 -> v128': '@fd05f fromF32',
  },
  i32x4: {
    'i32 -> v128': '@fd011 splat',
    'i32x4 lane -> i32': '@fd01b extract',
    'i32x4 lane i32 -> v128': '@fd01c replace',
    'i32x4 i32x4 -> v128':
      '@fd037 eq ne lt ltU gt gtU le leU ge geU @fd0ae add @fd0b1 sub @fd0b5 mul min minU max maxU',
    'v128 v128 -> v128': '@fd0ba dot',
    'i32x4 i32 -> v128': '@fd0ab shl shr shrU',
    'v128 -> v128': '@fd0a9 fromU16Low fromU16High',
    'f32x4 -> v128': '@fd0f8 fromF32 fromF32U',
    'v128 v128 i32x4 -> v128': '@fd10b laneselect',
  },
  i64x2: {
    'i64x2 i64x2 -> v128': '@fd0ce add @fd0d1 sub @fd0d5 mul',
    'i64x2 i32 -> v128': '@fd0cb shl shr shrU',
    'i32x4 i32x4 -> v128': '@fd0dc mulLow mulHigh mulLowU mulHighU',
  },
  i8x16: {
    'v128 v128 -> v128': '@fd065 narrow narrowU',
  },
  i16x8: {
    'v128 -> v128': '@fd089 fromU8Low fromU8High',
    'i32x4 i32x4 -> v128': '@fd085 narrow narrowU',
  },
} as const

/** 32-bit integers and addresses. */
export const i32: Instructions<typeof tables.i32, 'i32'> = instructions('i32', 'i32', tables.i32)

/** 64-bit integers. `extend` widens an i32. */
export const i64: Instructions<typeof tables.i64, 'i64'> = instructions('i64', 'i64', tables.i64)

export const f32: Instructions<typeof tables.f32, 'f32'> = instructions('f32', 'f32', tables.f32)

/**
 * Vectors as bits, and their ways to and from memory. `load32Splat` gives the number at the address in every lane,
 * `load32Zero` in lane 0 with zeros in the others. `bitselect(a, b, mask)` gives the bits of `a` where `mask` is 1,
 * `swizzle(a, bytes)` the bytes of `a` that `bytes` tells, and 0 for numbers beyond 15.
 */
export const v128: Instructions<typeof tables.v128, 'v128'> & {
  /** 16 bytes chosen from the 32 of `a`, `b`. */
  shuffle(a: Value<'v128'>, b: Value<'v128'>, bytes: readonly number[]): Value<'v128'>
  /** Four 32-bit lanes chosen from the eight of `a`, `b`. */
  shuffle32(a: Value<'v128'>, b: Value<'v128'>, lanes: readonly number[]): Value<'v128'>
} = {
  ...instructions('v128', 'v128', tables.v128),
  shuffle: (a, b, bytes) => instruction('v128', opcode(0xfd00d), ['v128', 'v128'], [a, b], bytes),
  shuffle32: (a, b, lanes) =>
    v128.shuffle(
      a,
      b,
      lanes.flatMap((lane) => [0, 1, 2, 3].map((i) => lane * 4 + i)),
    ),
}

/**
 * Four floats. `pmin(a, b)` is `b < a ? b : a`, `pmax(a, b)` is `a < b ? b : a`; comparisons give masks of ones.
 * `fromF64` demotes the two doubles into lanes 0 and 1. `madd(a, b, c)` is a * b + c with one rounding or two, `nmadd`
 * c - a * b: relaxed SIMD, emitted only where the engine has it.
 */
export const f32x4: Instructions<typeof tables.f32x4, 'v128'> = instructions('f32x4', 'v128', tables.f32x4)

/** Two doubles. `fromF32` and `fromI32` widen lanes 0 and 1. */
export const f64x2: Instructions<typeof tables.f64x2, 'v128'> = instructions('f64x2', 'v128', tables.f64x2)

/**
 * Four 32-bit integers. `laneselect(a, b, mask)` is `bitselect` where each lane of the mask is all ones or zeros: relaxed
 * SIMD, one instruction of a machine instead of three. `fromF32` truncates and saturates. `dot(a, b)` takes eight 16-bit
 * integers each and gives the sums of products of neighbours.
 */
export const i32x4: Instructions<typeof tables.i32x4, 'v128'> = instructions('i32x4', 'v128', tables.i32x4)

/** Two 64-bit integers. `mulLowU(a, b)` multiplies 32-bit lanes 0 and 1 into 64 bits. */
export const i64x2: Instructions<typeof tables.i64x2, 'v128'> = instructions('i64x2', 'v128', tables.i64x2)

/** Sixteen bytes. `narrow(a, b)` saturates eight and eight 16-bit integers to signed bytes, `narrowU` to unsigned ones. */
export const i8x16: Instructions<typeof tables.i8x16, 'v128'> = instructions('v128', 'v128', tables.i8x16)

/** Eight 16-bit integers: the step between bytes and i32 lanes. `narrow` and `narrowU` saturate four and four of 32 bits. */
export const i16x8: Instructions<typeof tables.i16x8, 'v128'> = instructions('v128', 'v128', tables.i16x8)

/** `a` where `condition` is not zero, else `b`; both are computed. */
export function select<T extends Type>(condition: Operand<'i32'>, a: Value<T>, b: Value<T>): Value<T> {
  return instruction(a.type, [0x1b], ['v128', 'v128', 'i32'], [a, b, condition])
}

/** Copying and filling bytes; ranges may overlap. */
export const memory: {
  copy(to: Operand<'i32'>, from: Operand<'i32'>, bytes: Operand<'i32'>): Effect
  fill(to: Operand<'i32'>, byte: Operand<'i32'>, bytes: Operand<'i32'>): Effect
} = {
  copy: (to, from, bytes) => instruction('void', opcode(0xfc00a), ['i32', 'i32', 'i32'], [to, from, bytes], [0, 0]),
  fill: (to, byte, bytes) => instruction('void', opcode(0xfc00b), ['i32', 'i32', 'i32'], [to, byte, bytes], [0]),
}

// --- functions and modules ---

/** Jumps to where a block ends or a loop begins: always, or if `condition` is not zero. */
export type Jump = (condition?: Value<'i32'>) => void

/** Collects the statements of one function; `fma`: it may use fused multiply-adds (`madd`), which are relaxed SIMD. */
export class FunctionBuilder {
  readonly fma: boolean
  readonly code: (number | Code)[] = []
  readonly locals: Type[] = []
  #depth = 0

  constructor(fma: boolean) {
    this.fma = fma
  }

  /** A new local, zero when the function is entered. */
  local<T extends Type>(type: T): Local<T> {
    const index = this.locals.push(type) - 1
    return { type, index, code: [0x20, ...unsigned(index)] }
  }

  /** A new local that holds `value` from here on. */
  let<T extends Type>(value: Value<T>): Local<T> {
    const local = this.local(value.type)
    this.set(local, value)
    return local
  }

  set<T extends Type>(local: Local<T>, value: NoInfer<Operand<T>>): void {
    this.code.push(codeOf(local.type, value), 0x21, unsigned(local.index))
  }

  /** Adds to an i32 local. */
  add(local: Local<'i32'>, by: Operand<'i32'>): void {
    this.set(local, i32.add(local, by))
  }

  /** Appends statements: stores, copies, calls without result. */
  emit(...effects: readonly Effect[]): void {
    for (const effect of effects) this.code.push(effect.code)
  }

  /** `body` once; its argument jumps behind it. */
  block(body: (leave: Jump) => void): void {
    this.#nest(0x02, body)
  }

  /** `body`, and again whenever its argument is called. */
  loop(body: (again: Jump) => void): void {
    this.#nest(0x03, body)
  }

  if(condition: Operand<'i32'>, then: () => void, otherwise?: () => void): void {
    this.code.push(codeOf('i32', condition))
    this.#nest(0x04, () => {
      then()
      if (otherwise) {
        this.code.push(0x05)
        otherwise()
      }
    })
  }

  /** for (; i < to; i += step) body(i), unsigned. `to` and `step` are computed anew in every turn. */
  for(i: Local<'i32'>, to: Operand<'i32'>, step: Operand<'i32'>, body: (i: Local<'i32'>) => void): void {
    const more = i32.ltU(i, to)
    this.if(more, () =>
      this.loop((again) => {
        body(i)
        this.add(i, step)
        again(more)
      }),
    )
  }

  /** `body` for every turn of `count`, which is counted down to 0; `count` >= 1 must hold. */
  repeat(count: Local<'i32'>, body: () => void): void {
    this.loop((again) => {
      body()
      this.add(count, -1)
      again(count)
    })
  }

  /** A trap: the call throws. */
  unreachable(): void {
    this.code.push(0x00)
  }

  #nest(code: number, body: (jump: Jump) => void): void {
    this.code.push(code, 0x40)
    const depth = ++this.#depth
    body((condition) => {
      if (condition) this.code.push(condition.code)
      this.code.push(condition ? 0x0d : 0x0c, unsigned(this.#depth - depth))
    })
    this.#depth--
    this.code.push(0x0b)
  }
}

/** A tuple of `N` times `T`. */
export type Repeat<T, N extends number, R extends readonly T[] = []> = R['length'] extends N
  ? R
  : Repeat<T, N, [...R, T]>

/** The types of `count` i32 parameters. */
export function ints<N extends number>(count: N): Repeat<'i32', N> {
  return Array(count).fill('i32') as Repeat<'i32', N>
}

type Locals<P extends readonly Type[]> = { [I in keyof P]: Local<P[I]> }
type Arguments<P extends readonly Type[]> = { [I in keyof P]: Operand<P[I]> }

/** The memory that a module imports as `env.memory`, in pages of 64 KiB. */
export interface MemoryImport {
  readonly initial: number
  readonly maximum: number
  readonly shared?: boolean
}

/** Collects functions without results into a module that imports its memory and exports them by name. */
export class ModuleBuilder {
  readonly #fma: boolean
  readonly #types: Code[] = []
  readonly #exports: Code[] = []
  readonly #bodies: Code[] = []

  /** @param fma whether the code may use relaxed SIMD's `madd`; nothing is emitted that needs it by itself. */
  constructor(fma = false) {
    this.#fma = fma
  }

  /** Adds a function; `body` emits its statements. What it gives is a call of it, for functions that follow. */
  func<const P extends readonly Type[]>(
    name: string,
    params: P,
    body: (b: FunctionBuilder, ...params: Locals<P>) => void,
  ): (...args: Arguments<P>) => Effect {
    const b = new FunctionBuilder(this.#fma)
    body(b, ...(params.map((type) => b.local(type)) as unknown as Locals<P>))
    const types = b.locals.map((type) => typeCode[type])
    const declared = types.slice(params.length).map((type) => [1, type])
    const code = bytesOf([vector(declared), b.code, 0x0b])
    const index = unsigned(this.#bodies.length)
    this.#exports.push([text(name), 0, index])
    this.#types.push([0x60, vector(types.slice(0, params.length)), 0])
    this.#bodies.push([unsigned(code.length), code])
    return (...args) => instruction('void', [0x10, index], params, args as readonly Operand<Type>[])
  }

  /** The binary module. */
  encode({ initial, maximum, shared }: MemoryImport): Uint8Array<ArrayBuffer> {
    const imported = [text('env'), text('memory'), 2, shared ? 3 : 1, unsigned(initial), unsigned(maximum)]
    const functions = this.#bodies.map((_, i) => unsigned(i))
    return new Uint8Array(
      bytesOf([
        [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, this.#types),
        section(2, [imported]),
        section(3, functions),
        section(7, this.#exports),
        section(10, this.#bodies),
      ]),
    )
  }
}

function vector(items: Code): Code {
  return [unsigned(items.length), items]
}

function section(id: number, items: readonly Code[]): Code {
  const body = bytesOf(vector(items))
  return [id, unsigned(body.length), body]
}

function text(string: string): Code {
  return vector([...new TextEncoder().encode(string)])
}
