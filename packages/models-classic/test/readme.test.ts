/** The README's table is made from the entries: a number changed in one of them and not in the other fails here. */
import { readFileSync } from 'node:fs'
import { classic } from '@convnets/models-classic'
import { expect, test } from 'vitest'

/** A row of the table: name, parameters, MACs, input, best published accuracy and whose it is. */
function row({ name, params, macs, inputSize, weights }: (typeof classic)[number]): string {
  const [best] = Object.values(weights).filter(({ benchmark }) => benchmark === undefined)
  const accuracy =
    best === undefined ? '| |' : `${best.top1} / ${best.top5 ?? '-'} | ${sourceOf(best.url)} ${best.name} |`
  const cost = `${params.toLocaleString('en')} | ${(macs / 1e9).toFixed(3)}`
  return `| \`${name}\` | ${cost} | ${inputSize.join(' x ')} | ${accuracy}`
}

function sourceOf(url: string): string {
  const sources = {
    'pytorch.org': 'torchvision',
    'huggingface.co': 'timm',
    'lip6.fr': 'Cadene',
    'berkeleyvision.org': 'Caffe',
  }
  return Object.entries(sources).find(([host]) => new URL(url).host.endsWith(host))?.[1] ?? ''
}

test('the table of the README is that of the entries', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
  const rows = readme.split('\n').filter((line) => line.startsWith('| `') && line.includes(' x '))
  expect(rows).toEqual(classic.map(row))
})
