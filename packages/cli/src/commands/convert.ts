/** `convnets convert`: weights from one format into another. */
import { openWeights, writeWeights } from '@convnets/weights'
import type { Context } from '../context.ts'
import { Failure, UsageError } from '../failure.ts'
import type { ConvertOptions } from '../program.ts'
import { short, whole } from '../report.ts'
import { readingWeights } from '../weights-problem.ts'

/** Copies tensors one by one, so that a file of any size takes the memory of its largest tensor. */
export async function convert(
  source: string,
  target: string,
  { select }: ConvertOptions,
  context: Context,
): Promise<void> {
  if (!/\.(safetensors|pth|pt|th|bin)$/i.test(target)) {
    throw new UsageError(`'${target}' should end in .safetensors, or in .pth, .pt, .th or .bin for PyTorch.`)
  }
  const { signal } = context
  await readingWeights(source, async () => {
    const file = await openWeights(source, { signal, ...(select && { select }) })
    try {
      if (file.entries.size === 0) throw new Failure(`${source} holds no tensors.`)
      await file.verify(signal)
      const metadata = new Map([['format', 'pt'], ...file.metadata])
      await writeWeights(file.entries, target, { metadata })
      const bytes = [...file.entries.values()].reduce((sum, entry) => sum + entry.bytes, 0)
      context.stdout.write(`${target}: ${whole(file.entries.size)} tensors, ${short(bytes)}B\n`)
    } finally {
      await file.close()
    }
  })
}
