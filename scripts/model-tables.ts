/** The tables of models in the READMEs, made from the models' entries: `pnpm tables` writes them anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { classic, type ModelFacts } from '@convnets/models-classic'
import { modern } from '@convnets/models-modern'

const START = '<!-- models: made by `pnpm tables` -->\n'
const END = '<!-- end of models -->\n'

/** Who publishes weights, by where they lie. */
const publishers: readonly (readonly [address: string, name: string])[] = [
  ['download.pytorch.org/', 'torchvision'],
  ['huggingface.co/timm/', 'timm'],
  ['lip6.fr/', 'Cadene'],
  ['berkeleyvision.org/', 'Caffe'],
  ['akamaster/', 'akamaster'],
]

/** Published weights whose accuracy stands in the table: the first of those measured on the usual validation set. */
function best({ name, weights }: ModelFacts): { readonly accuracy: string; readonly source: string } {
  const first = Object.values(weights).find(({ benchmark }) => benchmark === undefined)
  if (first?.top1 === undefined) return { accuracy: '-', source: '-' }
  const publisher = publishers.find(([address]) => first.url.includes(address))?.[1]
  if (publisher === undefined) throw new Error(`${name}: it is not known who publishes ${first.url}`)
  const accuracy = `${first.top1.toFixed(1)}${first.top5 === undefined ? '' : ` / ${first.top5.toFixed(1)}`}`
  return { accuracy, source: `${publisher} ${first.name}` }
}

const columns: readonly (readonly [title: string, align: string, show: (facts: ModelFacts) => string])[] = [
  ['model', '---', ({ name }) => `\`${name}\``],
  ['parameters', '---:', ({ params }) => params.toLocaleString('en')],
  ['GMACs', '---:', ({ macs }) => (macs / 1e9).toFixed(macs < 1e8 ? 3 : 2)],
  ['input', '---:', ({ inputSize }) => inputSize.join(' x ')],
  ['top-1 / top-5 %', '---', (facts) => best(facts).accuracy],
  ['of weights', '---', (facts) => best(facts).source],
]

const rowOf = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`

/** A row for each paper, and in it a line for each of its models. */
function modelTable(entries: readonly ModelFacts[]): string {
  const rows = [...new Set(entries.map(({ paper }) => paper))].map((paper) => {
    const own = entries.filter((entry) => entry.paper === paper)
    // The title of the paper stands in the entry; here there is room for the authors and where to find it.
    return rowOf([paper.replace(/".*", /, ''), ...columns.map(([, , show]) => own.map(show).join('<br>'))])
  })
  const heads = [rowOf(['paper', ...columns.map(([title]) => title)]), rowOf(['---', ...columns.map(([, a]) => a)])]
  return [...heads, ...rows].join('')
}

/** The text of a README with the table of its models in place of the former one. */
export function withTable(readme: string, entries: readonly ModelFacts[]): string {
  const [start, end] = [readme.indexOf(START), readme.indexOf(END)]
  if (start < 0 || end < start) throw new Error(`the README lacks the lines ${START.trim()} and ${END.trim()}`)
  return `${readme.slice(0, start + START.length)}\n${modelTable(entries)}\n${readme.slice(end)}`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, entries] of Object.entries({ 'models-classic': classic, 'models-modern': modern })) {
    const file = new URL(`../packages/${name}/README.md`, import.meta.url)
    writeFileSync(file, withTable(readFileSync(file, 'utf8'), entries))
  }
}
