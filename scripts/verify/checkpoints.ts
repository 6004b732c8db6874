/** `expected.json`: logits of published checkpoints, read from the files beside it. */
import { dirname, join } from 'node:path'
import { classic, findModel, type ImageOutput, mainLogits } from '@convnets/models-classic'
import { modern } from '@convnets/models-modern'
import { noGrad, tensor, tidy } from '@convnets/tensor'
import { fill, relativeError } from '@convnets/testkit'
import { loadWeights, openWeights } from '@convnets/weights'
import { type Arithmetic, type Case, fail, judge, type Outcome } from './case.ts'

/** Relative to the largest logit; sums of weights are sums of float32 numbers that are exact. */
const LOGITS = 2e-5
const SUMS = 1e-9

interface Checkpoint {
  readonly path: string
  readonly model: string
  readonly entries: number
  readonly parameters: number
  readonly input: { readonly name: string; readonly shape: number[]; readonly scale: number }
  readonly logits: readonly number[]
  readonly sums: Readonly<Record<string, number>>
}

async function compareState({ path, entries, sums }: Checkpoint): Promise<Outcome> {
  const file = await openWeights(path)
  try {
    await file.verify()
    if (file.entries.size !== entries) return fail(`${entries} tensors expected, got ${file.entries.size}`)
    const errors: number[] = []
    for (const [key, expected] of Object.entries(sums)) {
      const entry = file.entries.get(key)
      if (entry?.dtype !== 'F32') return fail(`${key} should hold float32 numbers, is ${entry?.dtype ?? 'missing'}`)
      const values = new Float32Array(new Uint8Array(await entry.read()).buffer)
      const scale = values.reduce((sum, value) => sum + Math.abs(value), 0)
      errors.push(Math.abs(values.reduce((sum, value) => sum + value, 0) - expected) / Math.max(scale, 1))
    }
    return judge([{ what: `${entries} tensors, sums`, error: Math.max(0, ...errors), tolerance: SUMS }])
  } finally {
    await file.close()
  }
}

async function compareLogits(checkpoint: Checkpoint, { backend, dtype }: Arithmetic): Promise<Outcome> {
  if (backend === undefined) return fail('this backend does not run here')
  const model = findModel<ImageOutput>(checkpoint.model, { from: [classic, modern] })()
  try {
    model.to(backend).to(dtype).eval()
    await loadWeights(model, checkpoint.path)
    if (model.parameterCount() !== checkpoint.parameters) {
      return fail(`${checkpoint.parameters} parameters expected, got ${model.parameterCount()}`)
    }
    const { name, shape, scale } = checkpoint.input
    using logits = tidy(() =>
      noGrad(() => mainLogits(model.forward(tensor(fill(name, shape, scale), { shape, dtype, backend })))),
    )
    const values = [...(await logits.data())]
    return judge([{ what: 'logits', error: relativeError(values, checkpoint.logits), tolerance: LOGITS }])
  } finally {
    model.dispose()
  }
}

/** A case for what a file holds and one for what its network gives. */
export function checkpointCases(text: string, expectedPath: string, arithmetic: Arithmetic): Case[] {
  const list: unknown = JSON.parse(text)
  if (!Array.isArray(list)) throw new Error('expected.json should be a list of checkpoints')
  return list.flatMap((row: Checkpoint & { readonly file: string }) => {
    const checkpoint = { ...row, path: join(dirname(expectedPath), row.file) }
    return [
      { id: `${row.file} tensors`, run: () => compareState(checkpoint) },
      { id: `${row.file} logits`, run: () => compareLogits(checkpoint, arithmetic) },
    ]
  })
}
