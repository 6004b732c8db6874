/** The README's table is made from the entries: a number changed in one of them and not in the other fails here. */
import { readFileSync } from 'node:fs'
import { type ModelFacts, modern } from '@convnets/models-modern'
import { expect, test } from 'vitest'

const publishers = [
  ['pytorch.org', 'torchvision'],
  ['huggingface.co/timm', 'timm'],
  ['akamaster', 'akamaster'],
] as const

/** Accuracy of the weights that an entry names first, and whose they are. */
function accuracy({ weights }: ModelFacts): string {
  const [best] = Object.values(weights)
  if (best === undefined) return '-'
  const publisher = publishers.find(([address]) => best.url.includes(address))?.[1]
  return `${best.top1.toFixed(1)}${best.top5 === undefined ? '' : ` / ${best.top5.toFixed(1)}`} ${publisher}`
}

const millions = (n: number): string => (n / 1e6).toFixed(n < 1e6 ? 2 : 1)

/** A row for each paper, a line in it for each model. */
function row(paper: string): string {
  const found = modern.filter((entry) => entry.paper === paper)
  const columns = [
    (facts: ModelFacts) => `\`${facts.name}\``,
    (facts: ModelFacts) => millions(facts.params),
    (facts: ModelFacts) => (facts.macs / 1e9).toFixed(2),
    (facts: ModelFacts) => `${facts.inputSize[0]}`,
    accuracy,
  ]
  const cells = columns.map((show) => found.map(show).join('<br>'))
  return `| ${[paper.replace(/".*", /, ''), ...cells].join(' | ')} |`
}

test('the table of the README is that of the entries', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const papers = [...new Set(modern.map(({ paper }) => paper))]
  expect(readme).toContain(`\n| --- | --- | ---: | ---: | ---: | --- |\n${papers.map(row).join('\n')}\n\n`)
})
