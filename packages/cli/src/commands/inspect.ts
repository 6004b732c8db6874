/** `convnets inspect`: what is in a file of weights. */
import { openWeights } from '@convnets/weights'
import type { Context } from '../context.ts'
import type { InspectOptions } from '../program.ts'
import { printable, short, table, whole } from '../report.ts'
import { readingWeights } from '../weights-problem.ts'

/** Lists keys, dtypes, shapes and bytes. Reads the file's directory and none of its tensors. */
export async function inspect(source: string, { json, select }: InspectOptions, context: Context): Promise<void> {
  const { signal } = context
  const file = await readingWeights(source, () => openWeights(source, { signal, ...(select && { select }) }))
  const { format, metadata } = file
  const tensors = [...file.entries].map(([key, { dtype, shape, bytes }]) => ({ key, dtype, shape, bytes }))
  await file.close()
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0)
  if (json) {
    const facts = { file: source, format, metadata: [...metadata], bytes, tensors }
    context.stdout.write(`${JSON.stringify(facts, null, 2)}\n`)
    return
  }
  const columns = [
    { title: 'key' },
    { title: 'dtype' },
    { title: 'shape' },
    { title: 'bytes', align: 'right' },
  ] as const
  const rows = tensors.map((tensor) => [tensor.key, tensor.dtype, `(${tensor.shape.join(', ')})`, whole(tensor.bytes)])
  context.stdout.write(`${table(columns, rows)}\n\n`)
  for (const [key, text] of metadata) {
    const shown = text.length > 100 ? `${text.slice(0, 100)}...` : text
    context.stdout.write(`${printable(key)}: ${printable(shown)}\n`)
  }
  context.stdout.write(`${format}, ${whole(tensors.length)} tensors, ${short(bytes)}B\n`)
}
