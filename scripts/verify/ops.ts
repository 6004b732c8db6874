/** `ops.json`: outputs and gradients of single ops. */
import { checkGoldenOp, type OpGolden, parseOpGoldens, type Tolerances, tolerances } from '@convnets/testkit'
import { type Arithmetic, type Case, fail, judge } from './case.ts'

/** Whether a convolution may be computed by Winograd's transform, whose rounding is larger. */
function mayUseWinograd({ op, attrs, inputs }: OpGolden): boolean {
  if (op !== 'conv2d') return false
  const ones = (key: string): boolean =>
    attrs
      .get(key)
      .pair()
      .every((step) => step === 1)
  const kernel = inputs.get('w')?.slice(2)
  return String(kernel) === '3,3' && ones('stride') && ones('dilation') && attrs.get('groups').integer() === 1
}

function limits(golden: OpGolden, { name, dtype, precision }: Arithmetic): Tolerances {
  if (dtype === 'float64') return tolerances.float64
  return name === 'wasm' && precision === 'fast' && mayUseWinograd(golden) ? tolerances.winograd : tolerances.float32
}

export function opCases(text: string, file: string, arithmetic: Arithmetic): Case[] {
  const { prefix, cases } = parseOpGoldens(text, file)
  const { backend, dtype, name } = arithmetic
  return cases.map((golden) => ({
    id: golden.id,
    run: async () => {
      if (backend === undefined) return fail(`there is no ${name} backend here`)
      const bounds = limits(golden, arithmetic)
      const result = await checkGoldenOp(golden, { backend, dtype, tolerances: bounds, prefix })
      return judge([
        { what: 'output', error: result.output, tolerance: bounds.output },
        ...[...result.gradients].map(([input, error]) => ({ what: `d${input}`, error, tolerance: bounds.gradient })),
      ])
    },
  }))
}
