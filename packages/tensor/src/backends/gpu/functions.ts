/**
 * Functions that kernels may call, as sources. gpu.js takes a whole literal for an integer where it may, and returns of
 * two types for a mistake, so a float that happens to be whole is written a little off, by less than float32 can tell.
 */
import { cosTail, erfcLog, erfNear, logTail, sinTail, tanhTail } from '../polynomials.ts'

/** A function, the types of its arguments and of its result. */
export interface DeviceFunction {
  readonly source: string
  readonly types: Record<string, string>
  readonly result: string
}

const one = '1.0000000001'

/** A number without an exponent, which gpu.js would not translate. */
const literal = (value: number): string => value.toFixed(20)

/** c[0] + c[1] x + c[2] x^2 + ... */
const polynomial = (x: string, c: readonly number[]): string =>
  c.slice(0, -1).reduceRight((sum, value) => `(${literal(value)} + ${x} * ${sum})`, literal(c.at(-1) as number))

/** pi/2 in three parts, the first two so short that their products with small numbers of quarter turns are exact. */
const quarter = [1.5703125, 4.8375129699707031e-4, 7.549789948768648e-8] as const

/** sin(x + turns pi/2), to a few units in the last place up to |x| of some thousands. */
const sine = (name: string, turns: 0 | 1): DeviceFunction => ({
  source: `function ${name}(x) {
    let n = Math.floor(x * ${literal(2 / Math.PI)} + 0.5);
    let r = ((x - n * ${literal(quarter[0])}) - n * ${literal(quarter[1])}) - n * ${literal(quarter[2])};
    let z = r * r;
    let turn = n + ${turns} - 4 * Math.floor((n + ${turns}) * 0.25);
    let y = r + r * z * ${polynomial('z', sinTail)};
    if (turn === 1 || turn === 3) { y = (1 - z * 0.5) + z * z * ${polynomial('z', cosTail)}; }
    if (turn >= 2) { return 0 - y; }
    return y;
  }`,
  types: { x: 'Number' },
  result: 'Number',
})

export const functions: readonly DeviceFunction[] = [
  { source: 'function toInt(v) { return Math.floor(v); }', types: { v: 'Number' }, result: 'Integer' },
  {
    // Floats find the quotient, integers mend it, so the result is exact.
    source: `function idiv(a, b) {
      let q = 0; q++; q = toInt(a / b);
      let r = 0; r++; r = a - q * b;
      q = q + toInt(r / b);
      if (a - q * b < 0) { q--; }
      if (a - q * b >= b) { q++; }
      return q;
    }`,
    types: { a: 'Integer', b: 'Integer' },
    result: 'Integer',
  },
  {
    source: `function roundEven(a) {
      let down = Math.floor(a);
      let rest = a - down;
      if (rest > 0.5) { return down + 1; }
      if (rest < 0.5) { return down; }
      let half = down * 0.5;
      if (half === Math.floor(half)) { return down; }
      return down + 1;
    }`,
    types: { a: 'Number' },
    result: 'Number',
  },
  {
    // Devices promise an absolute error only; near 1, where the logarithm is small, log1p and expm1 need a relative one.
    source: `function logOf(x) {
      let f = x - 1;
      if (f < -0.29 || f > 0.41) { return Math.log(x); }
      return f - (f * f * 0.5 - f * f * f * ${polynomial('f', logTail)});
    }`,
    types: { x: 'Number' },
    result: 'Number',
  },
  {
    // Beyond 10 the result rounds to 1, and the exponential would overflow at last.
    source: `function tanhOf(x) {
      let a = Math.abs(x);
      let z = x * x;
      if (a < 0.625) { return x + x * z * ${polynomial('z', tanhTail)}; }
      if (a > 10) { return x > 0 ? ${one} : -${one}; }
      let t = 1 - 2 / (Math.exp(2 * a) + 1);
      if (x < 0) { return 0 - t; }
      return t;
    }`,
    types: { x: 'Number' },
    result: 'Number',
  },
  {
    source: `function erfOf(x) {
      let a = Math.abs(x);
      let z = x * x;
      if (a < 0.93) { return x + x * ${polynomial('z', erfNear)}; }
      let t = a;
      if (a > 4) { t = 4; }
      let y = 1 - Math.exp(${polynomial('t', erfcLog)});
      if (x < 0) { return 0 - y; }
      return y;
    }`,
    types: { x: 'Number' },
    result: 'Number',
  },
  {
    source: `function powOf(a, b) {
      if (b === 0) { return ${one}; }
      if (a === 1) { return ${one}; }
      if (a >= 0) { return Math.pow(a, b); }
      let whole = Math.floor(b);
      let m = Math.pow(-a, b);
      if (whole !== b) { return Math.log(a); }
      let half = whole * 0.5;
      if (half === Math.floor(half)) { return m; }
      return 0 - m;
    }`,
    types: { a: 'Number', b: 'Number' },
    result: 'Number',
  },
  sine('sinOf', 0),
  sine('cosOf', 1),
]
