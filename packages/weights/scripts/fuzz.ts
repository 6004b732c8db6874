/** Feeds a parser mutated files: `npx tsx packages/weights/scripts/fuzz.ts pickle 10000000 1`. Prints what became of them. */
import { corpora } from '../test/corpus.ts'
import { fuzz, type ParserName, parsers } from '../test/mutate.ts'

const [name = '', count = '200000', seed = '1'] = process.argv.slice(2)
if (!Object.hasOwn(parsers, name)) {
  process.stderr.write(`Usage: fuzz.ts ${Object.keys(parsers).join('|')} [inputs] [seed]\n`)
  process.exit(2)
}
const parser = name as ParserName
const started = performance.now()
const { inputs, accepted, slowest, memory } = await fuzz(parser, corpora[parser], Number(count), Number(seed))
const seconds = (performance.now() - started) / 1000
process.stdout.write(
  `${name}, seed ${seed}: ${inputs} inputs in ${seconds.toFixed(0)} s, ${accepted} accepted, ${inputs - accepted} refused ` +
    `by typed errors, slowest ${slowest.toFixed(1)} ms, at most ${(memory / 1e6).toFixed(0)} MB more memory\n`,
)
