/** The table of cases: one list for every exported op of `@convnets/tensor`, complete by type. */
import type { Cases, OpName } from './case.ts'
import { convolutionCases } from './conv.ts'
import { elementwiseCases } from './elementwise.ts'
import { normalisationCases } from './norm.ts'
import { poolingCases } from './pool.ts'
import { reductionCases } from './reduce.ts'
import { shapeCases } from './shape.ts'

/** Cases by op: what gradient checks and conformance runs walk through. An op without a list does not compile. */
export const opCases: Cases<OpName> = {
  ...convolutionCases,
  ...elementwiseCases,
  ...normalisationCases,
  ...poolingCases,
  ...reductionCases,
  ...shapeCases,
}

/** Ops that give truth values or positions and have no gradient. Every other op has a case with one. */
export const opsWithoutGradient: readonly OpName[] = [
  'argmax',
  'argmin',
  'eq',
  'ge',
  'gt',
  'isnan',
  'le',
  'logicalAnd',
  'logicalNot',
  'logicalOr',
  'lt',
  'ne',
  'oneHot',
]
