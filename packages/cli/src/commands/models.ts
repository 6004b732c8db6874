/** `convnets models`: the networks that can be trained. */
import type { Context } from '../context.ts'
import { Failure } from '../failure.ts'
import { listEntries } from '../model.ts'
import type { ModelsOptions } from '../program.ts'
import { short, table, whole } from '../report.ts'

/** Lists the networks whose names fit a pattern. */
export async function models(pattern: string | undefined, { json }: ModelsOptions, context: Context): Promise<void> {
  const rows = listEntries(pattern).map(({ name, paper, params, macs, inputSize, numClasses, weights }) => {
    // The best published weights come first.
    const [best] = Object.values(weights)
    return { name, paper, params, macs, inputSize, numClasses, ...(best && { top1: best.top1, labels: best.labels }) }
  })
  if (rows.length === 0) {
    throw new Failure(`No model has a name like '${pattern}'; \`convnets models\` lists all.`)
  }
  if (json) {
    context.stdout.write(`${JSON.stringify(rows, null, 2)}\n`)
    return
  }
  const columns = [
    { title: 'model' },
    { title: 'parameters', align: 'right' },
    { title: 'MACs', align: 'right' },
    { title: 'input', align: 'right' },
    { title: 'top-1', align: 'right' },
    { title: 'of' },
  ] as const
  const cells = rows.map(({ name, params, macs, inputSize, top1, labels }) => [
    name,
    whole(params),
    short(macs),
    inputSize.join(' x '),
    top1 === undefined ? '' : `${top1.toFixed(1)} %`,
    labels ?? '',
  ])
  context.stdout.write(`${table(columns, cells)}\n`)
}
