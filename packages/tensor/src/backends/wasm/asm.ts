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
 * const instance = new WebAssembly.Instance(m.compile({ initial: 1, maximum: 16 }), { env: { memory } })
 * ```
 */
import { BackendError } from '../../errors.ts'

/** Types of values in registers. `v128` is read as lanes by the instruction: `f32x4`, `i32x4`, `f64x2`, `i64x2`. */
export type Type = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'

/** The code of an expression that leaves one value of type `T`; `void` leaves none. */
export interface Value<T extends Type | 'void' = Type> {
  readonly type: T
  readonly code: readonly number[]
}

/** A register of the function being built; as a value, its content. */
export interface Local<T extends Type = Type> extends Value<T> {
  readonly index: number
}

/** What an instruction takes: an expression, or a number that becomes a constant. */
export type Operand<T extends Type> = Value<T> | number

type Effect = Value<'void'>
type Lanes = 'i32x4' | 'i64x2' | 'f32x4' | 'f64x2'
type Kind = Exclude<Type, 'v128'> | Lanes | 'v128'
type TypeOf<K extends Kind> = K extends Lanes | 'v128' ? 'v128' : K
type Words<S extends string> = S extends `${infer Head} ${infer Tail}` ? Head | Words<Tail> : S
type Unary<S extends string, A extends Kind, R extends Type = TypeOf<A>> = Record<
  Words<S>,
  (a: Operand<TypeOf<A>>) => Value<R>
>
type Binary<S extends string, A extends Kind, R extends Type = TypeOf<A>> = Record<
  Words<S>,
  (a: Operand<TypeOf<A>>, b: Operand<TypeOf<A>>) => Value<R>
>
type Load<T extends Type> = (address: Operand<'i32'>, offset?: number) => Value<T>
type Store<T extends Type> = (address: Operand<'i32'>, value: Operand<T>, offset?: number) => Effect
type Shift<S extends string> = Record<Words<S>, (a: Operand<'v128'>, by: Operand<'i32'>) => Value<'v128'>>

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

const simd = 0xfd000

function bytesOf(array: ArrayBufferView): number[] {
  return [...new Uint8Array(array.buffer)]
}

function constant(kind: Kind, values: readonly number[]): number[] {
  switch (kind) {
    case 'i32':
      return [0x41, ...signed(values[0]! | 0)]
    case 'i64':
      return [0x42, ...signed(values[0]!)]
    case 'f32':
      return [0x43, ...bytesOf(new Float32Array(values))]
    case 'f64':
      return [0x44, ...bytesOf(new Float64Array(values))]
    default: {
      const count = kind === 'v128' ? 16 : Number(kind.at(-1))
      const lanes = Array.from({ length: count }, (_, i) => values[i % values.length]!)
      const array =
        kind === 'v128'
          ? new Uint8Array(lanes)
          : kind === 'f32x4'
            ? new Float32Array(lanes)
            : kind === 'f64x2'
              ? new Float64Array(lanes)
              : kind === 'i32x4'
                ? new Int32Array(lanes)
                : new BigInt64Array(lanes.map(BigInt))
      return [0xfd, 12, ...bytesOf(array)]
    }
  }
}

function codeOf(kind: Kind, operand: Value | number): readonly number[] {
  return typeof operand === 'number' ? constant(kind, [operand]) : operand.code
}

/** An instruction of operands of the given kinds, followed by immediate bytes. */
function instruction<R extends Type | 'void'>(
  type: R,
  code: number,
  kinds: readonly Kind[],
  operands: readonly (Value | number)[],
  immediate: readonly number[] = [],
): Value<R> {
  return { type, code: [...operands.flatMap((x, i) => codeOf(kinds[i]!, x)), ...opcode(code), ...immediate] }
}

/** Instructions with consecutive opcodes; `-` skips one. */
function family<F>(names: string, code: number, make: (code: number) => F): Record<string, F> {
  return Object.fromEntries(names.split(' ').map((name, i) => [name, make(code + i)]))
}

function unary<S extends string, A extends Kind, R extends Type = TypeOf<A>>(
  names: S,
  code: number,
  a: A,
  result: R,
): Unary<S, A, R> {
  return family(names, code, (code) => (x: Value | number) => instruction(result, code, [a], [x])) as Unary<S, A, R>
}

function binary<S extends string, A extends Kind, R extends Type = TypeOf<A>>(
  names: S,
  code: number,
  a: A,
  result: R,
): Binary<S, A, R> {
  return family(
    names,
    code,
    (code) => (x: Value | number, y: Value | number) => instruction(result, code, [a, a], [x, y]),
  ) as Binary<S, A, R>
}

function shift<S extends string>(names: S, code: number, lanes: Lanes): Shift<S> {
  return family(
    names,
    code,
    (code) => (x: Value | number, by: Value | number) => instruction('v128', code, [lanes, 'i32'], [x, by]),
  ) as Shift<S>
}

function load<T extends Type>(type: T, code: number, align: number): Load<T> {
  return (address, offset = 0) => instruction(type, code, ['i32'], [address], [align, ...unsigned(offset)])
}

function store<T extends Type>(type: T, code: number, align: number): Store<T> {
  return (address, value, offset = 0) =>
    instruction('void', code, ['i32', type], [address, value], [align, ...unsigned(offset)])
}

// --- instructions ---

const intCompare = 'eq ne lt ltU gt gtU le leU ge geU'
const intUnary = 'clz ctz popcnt'
const intBinary = 'add sub mul div divU rem remU and or xor shl shr shrU rotl rotr'
const floatCompare = 'eq ne lt gt le ge'
const floatUnary = 'abs neg ceil floor trunc nearest sqrt'
const floatBinary = 'add sub mul div min max copysign'

interface Const<T extends Type> {
  const(...values: number[]): Value<T>
}

function constants<T extends Type>(type: T, kind: Kind): Const<T> {
  return { const: (...values) => ({ type, code: constant(kind, values) }) }
}

interface Int<T extends 'i32' | 'i64'>
  extends Binary<typeof intCompare, T, 'i32'>,
    Unary<typeof intUnary, T, T>,
    Binary<typeof intBinary, T, T>,
    Unary<'eqz', T, 'i32'>,
    Const<T> {
  readonly load: Load<T>
  readonly store: Store<T>
}

interface Float<T extends 'f32' | 'f64'>
  extends Binary<typeof floatCompare, T, 'i32'>,
    Unary<typeof floatUnary, T, T>,
    Binary<typeof floatBinary, T, T>,
    Unary<'fromI32 fromI32U', 'i32', T>,
    Const<T> {
  readonly load: Load<T>
  readonly store: Store<T>
}

interface I32
  extends Int<'i32'>,
    Unary<'wrap', 'i64', 'i32'>,
    Unary<'fromF32 fromF32U', 'f32', 'i32'>,
    Unary<'fromF64 fromF64U', 'f64', 'i32'>,
    Unary<'bitsOf', 'f32', 'i32'> {
  readonly load8: Load<'i32'>
  readonly load8U: Load<'i32'>
  readonly load16: Load<'i32'>
  readonly load16U: Load<'i32'>
  readonly store8: Store<'i32'>
  readonly store16: Store<'i32'>
}

/** 32-bit integers and addresses. Plain names are signed, `U` unsigned. `fromF32`, `fromF64` truncate and saturate. */
export const i32: I32 = {
  ...constants('i32', 'i32'),
  ...unary('eqz', 0x45, 'i32', 'i32'),
  ...binary(intCompare, 0x46, 'i32', 'i32'),
  ...unary(intUnary, 0x67, 'i32', 'i32'),
  ...binary(intBinary, 0x6a, 'i32', 'i32'),
  ...unary('wrap', 0xa7, 'i64', 'i32'),
  ...unary('fromF32 fromF32U', 0xfc000, 'f32', 'i32'),
  ...unary('fromF64 fromF64U', 0xfc002, 'f64', 'i32'),
  ...unary('bitsOf', 0xbc, 'f32', 'i32'),
  load: load('i32', 0x28, 2),
  load8: load('i32', 0x2c, 0),
  load8U: load('i32', 0x2d, 0),
  load16: load('i32', 0x2e, 1),
  load16U: load('i32', 0x2f, 1),
  store: store('i32', 0x36, 2),
  store8: store('i32', 0x3a, 0),
  store16: store('i32', 0x3b, 1),
}

interface I64 extends Int<'i64'>, Unary<'extend extendU', 'i32', 'i64'>, Unary<'bitsOf', 'f64', 'i64'> {}

/** 64-bit integers. `extend` widens an i32. */
export const i64: I64 = {
  ...constants('i64', 'i64'),
  ...unary('eqz', 0x50, 'i64', 'i32'),
  ...binary(intCompare, 0x51, 'i64', 'i32'),
  ...unary(intUnary, 0x79, 'i64', 'i64'),
  ...binary(intBinary, 0x7c, 'i64', 'i64'),
  ...unary('extend extendU', 0xac, 'i32', 'i64'),
  ...unary('bitsOf', 0xbd, 'f64', 'i64'),
  load: load('i64', 0x29, 3),
  store: store('i64', 0x37, 3),
}

interface F32 extends Float<'f32'>, Unary<'demote', 'f64', 'f32'>, Unary<'ofBits', 'i32', 'f32'> {}

export const f32: F32 = {
  ...constants('f32', 'f32'),
  ...binary(floatCompare, 0x5b, 'f32', 'i32'),
  ...unary(floatUnary, 0x8b, 'f32', 'f32'),
  ...binary(floatBinary, 0x92, 'f32', 'f32'),
  ...unary('fromI32 fromI32U', 0xb2, 'i32', 'f32'),
  ...unary('demote', 0xb6, 'f64', 'f32'),
  ...unary('ofBits', 0xbe, 'i32', 'f32'),
  load: load('f32', 0x2a, 2),
  store: store('f32', 0x38, 2),
}

interface F64 extends Float<'f64'>, Unary<'promote', 'f32', 'f64'>, Unary<'ofBits', 'i64', 'f64'> {}

export const f64: F64 = {
  ...constants('f64', 'f64'),
  ...binary(floatCompare, 0x61, 'f64', 'i32'),
  ...unary(floatUnary, 0x99, 'f64', 'f64'),
  ...binary(floatBinary, 0xa0, 'f64', 'f64'),
  ...unary('fromI32 fromI32U', 0xb7, 'i32', 'f64'),
  ...unary('promote', 0xbb, 'f32', 'f64'),
  ...unary('ofBits', 0xbf, 'i64', 'f64'),
  load: load('f64', 0x2b, 3),
  store: store('f64', 0x39, 3),
}

type LoadLane = (address: Operand<'i32'>, vector: Value<'v128'>, lane: number, offset?: number) => Value<'v128'>
type StoreLane = (address: Operand<'i32'>, vector: Value<'v128'>, lane: number, offset?: number) => Effect

function lanes<R extends 'v128' | 'void'>(result: R, code: number, align: number) {
  return (address: Operand<'i32'>, vector: Value<'v128'>, lane: number, offset = 0): Value<R> =>
    instruction(result, code, ['i32', 'v128'], [address, vector], [align, ...unsigned(offset), lane])
}

const bits = 'and andnot or xor'

interface V128
  extends Unary<'not', 'v128'>,
    Binary<typeof bits, 'v128'>,
    Unary<'anyTrue', 'v128', 'i32'>,
    Const<'v128'> {
  readonly load: Load<'v128'>
  readonly store: Store<'v128'>
  /** The number at the address in every lane. */
  readonly load8Splat: Load<'v128'>
  readonly load16Splat: Load<'v128'>
  readonly load32Splat: Load<'v128'>
  readonly load64Splat: Load<'v128'>
  /** The number at the address in lane 0, zeros in the others. */
  readonly load32Zero: Load<'v128'>
  readonly load64Zero: Load<'v128'>
  /** 8 bytes widened: eight i8, four i16 or two i32, signed or (`U`) unsigned. */
  readonly load8x8: Load<'v128'>
  readonly load8x8U: Load<'v128'>
  readonly load16x4: Load<'v128'>
  readonly load16x4U: Load<'v128'>
  readonly load32Lane: LoadLane
  readonly load64Lane: LoadLane
  readonly store8Lane: StoreLane
  readonly store32Lane: StoreLane
  readonly store64Lane: StoreLane
  /** Bits of `a` where `mask` is 1, of `b` where it is 0. */
  bitselect(a: Value<'v128'>, b: Value<'v128'>, mask: Value<'v128'>): Value<'v128'>
  /** 16 bytes chosen from the 32 of `a`, `b`. */
  shuffle(a: Value<'v128'>, b: Value<'v128'>, bytes: readonly number[]): Value<'v128'>
  /** Four 32-bit lanes chosen from the eight of `a`, `b`. */
  shuffle32(a: Value<'v128'>, b: Value<'v128'>, lanes: readonly number[]): Value<'v128'>
}

const shuffle = (a: Value<'v128'>, b: Value<'v128'>, bytes: readonly number[]): Value<'v128'> =>
  instruction('v128', simd + 13, ['v128', 'v128'], [a, b], bytes)

/** Vectors as bits, and their ways to and from memory. */
export const v128: V128 = {
  ...constants('v128', 'v128'),
  load: load('v128', simd, 4),
  load8x8: load('v128', simd + 1, 3),
  load8x8U: load('v128', simd + 2, 3),
  load16x4: load('v128', simd + 3, 3),
  load16x4U: load('v128', simd + 4, 3),
  load8Splat: load('v128', simd + 7, 0),
  load16Splat: load('v128', simd + 8, 1),
  load32Splat: load('v128', simd + 9, 2),
  load64Splat: load('v128', simd + 10, 3),
  load32Zero: load('v128', simd + 0x5c, 2),
  load64Zero: load('v128', simd + 0x5d, 3),
  store: store('v128', simd + 11, 4),
  load32Lane: lanes('v128', simd + 0x56, 2),
  load64Lane: lanes('v128', simd + 0x57, 3),
  store8Lane: lanes('void', simd + 0x58, 0),
  store32Lane: lanes('void', simd + 0x5a, 2),
  store64Lane: lanes('void', simd + 0x5b, 3),
  ...unary('not', simd + 0x4d, 'v128', 'v128'),
  ...binary(bits, simd + 0x4e, 'v128', 'v128'),
  ...unary('anyTrue', simd + 0x53, 'v128', 'i32'),
  bitselect: (a, b, mask) => instruction('v128', simd + 0x52, ['v128', 'v128', 'v128'], [a, b, mask]),
  shuffle,
  shuffle32: (a, b, lanes) =>
    shuffle(
      a,
      b,
      lanes.flatMap((lane) => [0, 1, 2, 3].map((i) => lane * 4 + i)),
    ),
}

interface LaneAccess<T extends Type> {
  splat(x: Operand<T>): Value<'v128'>
  extract(a: Operand<'v128'>, lane: number): Value<T>
  replace(a: Operand<'v128'>, lane: number, x: Operand<T>): Value<'v128'>
}

function laneAccess<T extends Exclude<Type, 'v128'>>(
  type: T,
  kind: Lanes,
  splat: number,
  extract: number,
): LaneAccess<T> & Const<'v128'> {
  return {
    ...constants('v128', kind),
    splat: (x) => (typeof x === 'number' ? constants('v128', kind).const(x) : instruction('v128', splat, [type], [x])),
    extract: (a, lane) => instruction(type, extract, [kind], [a], [lane]),
    replace: (a, lane, x) => instruction('v128', extract + 1, [kind, type], [a, x], [lane]),
  }
}

const vectorBinary = 'add sub mul div min max pmin pmax'
const rounding = 'ceil floor trunc'

interface Floats<L extends 'f32x4' | 'f64x2', T extends 'f32' | 'f64'>
  extends Binary<typeof floatCompare, L>,
    Unary<'abs neg', L>,
    Unary<'sqrt', L>,
    Binary<typeof vectorBinary, L>,
    Unary<typeof rounding, L>,
    Unary<'nearest', L>,
    Unary<'fromI32 fromI32U', 'i32x4'>,
    LaneAccess<T>,
    Const<'v128'> {
  /** a * b + c with one rounding or two: relaxed SIMD, emitted only where the engine has it. */
  madd(a: Operand<'v128'>, b: Operand<'v128'>, c: Operand<'v128'>): Value<'v128'>
  /** c - a * b, as `madd`. */
  nmadd(a: Operand<'v128'>, b: Operand<'v128'>, c: Operand<'v128'>): Value<'v128'>
}

function fused(kind: Lanes, code: number) {
  return (a: Operand<'v128'>, b: Operand<'v128'>, c: Operand<'v128'>): Value<'v128'> =>
    instruction('v128', code, [kind, kind, kind], [a, b, c])
}

/**
 * Four floats. `pmin(a, b)` is `b < a ? b : a`, `pmax(a, b)` is `a < b ? b : a`; comparisons give masks of ones.
 * `fromF64` demotes the two doubles into lanes 0 and 1.
 */
export const f32x4: Floats<'f32x4', 'f32'> & Unary<'fromF64', 'f64x2'> = {
  ...laneAccess('f32', 'f32x4', simd + 0x13, simd + 0x1f),
  ...binary(floatCompare, simd + 0x41, 'f32x4', 'v128'),
  ...unary('fromF64', simd + 0x5e, 'f64x2', 'v128'),
  ...unary(rounding, simd + 0x67, 'f32x4', 'v128'),
  ...unary('nearest', simd + 0x6a, 'f32x4', 'v128'),
  ...unary('abs neg', simd + 0xe0, 'f32x4', 'v128'),
  ...unary('sqrt', simd + 0xe3, 'f32x4', 'v128'),
  ...binary(vectorBinary, simd + 0xe4, 'f32x4', 'v128'),
  ...unary('fromI32 fromI32U', simd + 0xfa, 'i32x4', 'v128'),
  madd: fused('f32x4', simd + 0x105),
  nmadd: fused('f32x4', simd + 0x106),
}

/** Two doubles. `fromF32` and `fromI32` widen lanes 0 and 1. */
export const f64x2: Floats<'f64x2', 'f64'> & Unary<'fromF32', 'f32x4'> = {
  ...laneAccess('f64', 'f64x2', simd + 0x14, simd + 0x21),
  ...binary(floatCompare, simd + 0x47, 'f64x2', 'v128'),
  ...unary('fromF32', simd + 0x5f, 'f32x4', 'v128'),
  ...unary('ceil floor', simd + 0x74, 'f64x2', 'v128'),
  ...unary('trunc', simd + 0x7a, 'f64x2', 'v128'),
  ...unary('nearest', simd + 0x94, 'f64x2', 'v128'),
  ...unary('abs neg', simd + 0xec, 'f64x2', 'v128'),
  ...unary('sqrt', simd + 0xef, 'f64x2', 'v128'),
  ...binary(vectorBinary, simd + 0xf0, 'f64x2', 'v128'),
  ...unary('fromI32 fromI32U', simd + 0xfe, 'i32x4', 'v128'),
  madd: fused('f64x2', simd + 0x107),
  nmadd: fused('f64x2', simd + 0x108),
}

const vectorIntMinMax = 'min minU max maxU'
const widenShort = 'fromI16Low fromI16High fromU16Low fromU16High'
const widenInt = 'fromI32Low fromI32High fromU32Low fromU32High'
const widenProduct = 'mulLow mulHigh mulLowU mulHighU'

interface Ints<T extends 'i32' | 'i64'>
  extends Unary<'abs neg', 'i32x4'>,
    Unary<'allTrue bitmask', 'v128', 'i32'>,
    Shift<'shl shr shrU'>,
    Binary<'add', 'i32x4'>,
    Binary<'sub', 'i32x4'>,
    Binary<'mul', 'i32x4'>,
    LaneAccess<T>,
    Const<'v128'> {}

interface I32x4
  extends Ints<'i32'>,
    Binary<typeof intCompare, 'i32x4'>,
    Binary<typeof vectorIntMinMax, 'i32x4'>,
    Unary<typeof widenShort, 'v128'>,
    Unary<'fromF32 fromF32U', 'f32x4'>,
    Unary<'fromF64 fromF64U', 'f64x2'> {}

/** Four 32-bit integers. `fromF32`, `fromF64` truncate and saturate; the latter fills lanes 0 and 1, zeros above. */
export const i32x4: I32x4 = {
  ...laneAccess('i32', 'i32x4', simd + 0x11, simd + 0x1b),
  ...binary(intCompare, simd + 0x37, 'i32x4', 'v128'),
  ...unary('abs neg', simd + 0xa0, 'i32x4', 'v128'),
  ...unary('allTrue bitmask', simd + 0xa3, 'v128', 'i32'),
  ...unary(widenShort, simd + 0xa7, 'v128', 'v128'),
  ...shift('shl shr shrU', simd + 0xab, 'i32x4'),
  ...binary('add', simd + 0xae, 'i32x4', 'v128'),
  ...binary('sub', simd + 0xb1, 'i32x4', 'v128'),
  ...binary('mul', simd + 0xb5, 'i32x4', 'v128'),
  ...binary(vectorIntMinMax, simd + 0xb6, 'i32x4', 'v128'),
  ...unary('fromF32 fromF32U', simd + 0xf8, 'f32x4', 'v128'),
  ...unary('fromF64 fromF64U', simd + 0xfc, 'f64x2', 'v128'),
}

interface I64x2
  extends Ints<'i64'>,
    Binary<'eq ne lt gt le ge', 'i64x2'>,
    Unary<typeof widenInt, 'i32x4'>,
    Binary<typeof widenProduct, 'i32x4'> {}

/** Two 64-bit integers. `mulLowU(a, b)` multiplies 32-bit lanes 0 and 1 into 64 bits. */
export const i64x2: I64x2 = {
  ...laneAccess('i64', 'i64x2', simd + 0x12, simd + 0x1d),
  ...unary('abs neg', simd + 0xc0, 'i64x2', 'v128'),
  ...unary('allTrue bitmask', simd + 0xc3, 'v128', 'i32'),
  ...unary(widenInt, simd + 0xc7, 'i32x4', 'v128'),
  ...shift('shl shr shrU', simd + 0xcb, 'i64x2'),
  ...binary('add', simd + 0xce, 'i64x2', 'v128'),
  ...binary('sub', simd + 0xd1, 'i64x2', 'v128'),
  ...binary('mul', simd + 0xd5, 'i64x2', 'v128'),
  ...binary('eq ne lt gt le ge', simd + 0xd6, 'i64x2', 'v128'),
  ...binary(widenProduct, simd + 0xdc, 'i32x4', 'v128'),
}

interface I8x16 extends Binary<'narrow narrowU', 'v128'> {
  splat(x: Operand<'i32'>): Value<'v128'>
  readonly eq: (a: Value<'v128'>, b: Value<'v128'>) => Value<'v128'>
}

/** Sixteen bytes, as far as masks and uint8 data need them; `narrow` saturates i16 lanes. */
export const i8x16: I8x16 = {
  splat: (x) => instruction('v128', simd + 0x0f, ['i32'], [x]),
  ...binary('eq', simd + 0x23, 'v128', 'v128'),
  ...binary('narrow narrowU', simd + 0x65, 'v128', 'v128'),
}

const widenByte = 'fromI8Low fromI8High fromU8Low fromU8High'

/** Eight 16-bit integers: the step between bytes and i32 lanes; `narrow` saturates i32 lanes. */
export const i16x8: Binary<'narrow narrowU', 'v128'> & Unary<typeof widenByte, 'v128'> = {
  ...binary('narrow narrowU', simd + 0x85, 'v128', 'v128'),
  ...unary(widenByte, simd + 0x87, 'v128', 'v128'),
}

/** `a` where `condition` is not zero, else `b`; both are computed. */
export function select<T extends Type>(condition: Operand<'i32'>, a: Value<T>, b: Value<T>): Value<T> {
  return instruction(a.type, 0x1b, ['v128', 'v128', 'i32'], [a, b, condition])
}

/** Copying and filling bytes; ranges may overlap. */
export const memory: {
  copy(to: Operand<'i32'>, from: Operand<'i32'>, bytes: Operand<'i32'>): Effect
  fill(to: Operand<'i32'>, byte: Operand<'i32'>, bytes: Operand<'i32'>): Effect
} = {
  copy: (to, from, bytes) => instruction('void', 0xfc00a, ['i32', 'i32', 'i32'], [to, from, bytes], [0, 0]),
  fill: (to, byte, bytes) => instruction('void', 0xfc00b, ['i32', 'i32', 'i32'], [to, byte, bytes], [0]),
}

// --- functions and modules ---

/** Jumps to where a block ends or a loop begins: always, or if `condition` is not zero. */
export type Jump = (condition?: Value<'i32'>) => void

/** Collects the statements of one function. */
export class FunctionBuilder {
  readonly code: number[] = []
  readonly locals: Type[]
  private depth = 0

  constructor(params: readonly Type[]) {
    this.locals = [...params]
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
    this.push(codeOf(local.type, value), [0x21, ...unsigned(local.index)])
  }

  /** Adds to an i32 local. */
  add(local: Local<'i32'>, by: Operand<'i32'>): void {
    this.set(local, i32.add(local, by))
  }

  /** Appends statements: stores, copies, calls without result. */
  emit(...effects: readonly Effect[]): void {
    for (const effect of effects) this.push(effect.code)
  }

  /** `body` once; its argument jumps behind it. */
  block(body: (leave: Jump) => void): void {
    this.nest(0x02, body)
  }

  /** `body`, and again whenever its argument is called. */
  loop(body: (again: Jump) => void): void {
    this.nest(0x03, body)
  }

  if(condition: Operand<'i32'>, then: () => void, otherwise?: () => void): void {
    this.push(codeOf('i32', condition))
    this.nest(0x04, () => {
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

  return(value?: Value): void {
    this.push(value?.code ?? [], [0x0f])
  }

  /** A trap: the call throws. */
  unreachable(): void {
    this.code.push(0x00)
  }

  private push(...codes: readonly (readonly number[])[]): void {
    for (const code of codes) for (const byte of code) this.code.push(byte)
  }

  private nest(code: number, body: (jump: Jump) => void): void {
    this.code.push(code, 0x40)
    const depth = ++this.depth
    body((condition) => {
      const label = unsigned(this.depth - depth)
      this.push(condition ? [...condition.code, 0x0d] : [0x0c], label)
    })
    this.depth--
    this.code.push(0x0b)
  }
}

type Repeat<T, N extends number, R extends readonly T[] = []> = R['length'] extends N ? R : Repeat<T, N, [...R, T]>

/** The types of `count` i32 parameters. */
export function ints<N extends number>(count: N): Repeat<'i32', N> {
  return Array(count).fill('i32') as Repeat<'i32', N>
}

type Operands<P extends readonly Type[]> = { [I in keyof P]: Operand<P[I]> }
type Locals<P extends readonly Type[]> = { [I in keyof P]: Local<P[I]> }

/** The memory that a module imports as `env.memory`, in pages of 64 KiB. */
export interface MemoryImport {
  readonly initial: number
  readonly maximum: number
  readonly shared?: boolean
}

/** Collects functions into a module that imports its memory and exports all named functions. */
export class ModuleBuilder {
  private readonly types: number[][] = []
  private readonly exports: number[][] = []
  private readonly bodies: number[][] = []

  /**
   * Adds a function and gives what calls it from other functions of the module.
   * `body` emits the statements and returns the result, if there is one. Functions with an empty name are not exported.
   */
  func<const P extends readonly Type[], R extends Type | 'void' = 'void'>(
    name: string,
    params: P,
    body: (b: FunctionBuilder, ...params: Locals<P>) => R extends Type ? Value<R> : void,
    result: R = 'void' as R,
  ): (...args: Operands<P>) => Value<R> {
    const index = this.bodies.length
    const b = new FunctionBuilder(params)
    const locals = params.map((type, i) => ({ type, index: i, code: [0x20, ...unsigned(i)] }))
    const value = body(b, ...(locals as unknown as Locals<P>)) as Value | undefined
    const results = result === 'void' ? [] : [[typeCode[result as Type]]]
    const declared = b.locals.slice(params.length).map((type) => [1, typeCode[type]])
    const code = concat([...vector(declared)], b.code, value && result !== 'void' ? value.code : [], [0x0b])
    this.types.push([0x60, ...vector(params.map((type) => [typeCode[type]])), ...vector(results)])
    this.bodies.push(concat(unsigned(code.length), code))
    if (name) this.exports.push([...text(name), 0, ...unsigned(index)])
    return (...args) => instruction(result, 0x10, params, args as readonly (Value | number)[], unsigned(index))
  }

  /** The binary module. */
  encode({ initial, maximum, shared }: MemoryImport): Uint8Array<ArrayBuffer> {
    const imported = [...text('env'), ...text('memory'), 2, shared ? 3 : 1, ...unsigned(initial), ...unsigned(maximum)]
    return new Uint8Array(
      concat(
        [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        section(1, this.types),
        section(2, [imported]),
        section(
          3,
          this.bodies.map((_, i) => unsigned(i)),
        ),
        section(7, this.exports),
        section(10, this.bodies),
      ),
    )
  }

  /** The compiled module. An invalid one is a bug in a kernel and is reported as a `BackendError`. */
  compile(memory: MemoryImport): WebAssembly.Module {
    try {
      return new WebAssembly.Module(this.encode(memory))
    } catch (cause) {
      throw new BackendError(`wasm: a kernel does not compile: ${cause instanceof Error ? cause.message : cause}`)
    }
  }
}

function concat(...parts: readonly (readonly number[])[]): number[] {
  const bytes: number[] = []
  for (const part of parts) for (const byte of part) bytes.push(byte)
  return bytes
}

function vector(items: readonly (readonly number[])[]): number[] {
  return concat(unsigned(items.length), ...items)
}

function section(id: number, items: readonly (readonly number[])[]): number[] {
  const body = vector(items)
  return concat([id], unsigned(body.length), body)
}

function text(string: string): number[] {
  return vector([...new TextEncoder().encode(string)].map((byte) => [byte]))
}
