/** An experiment from the settings to the README: measured, written down, drawn. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { getThreads, setThreads } from '@convnets/tensor'

/** What is measured of a claim, and how it is shown. */
export interface Experiment<Settings, Results> {
  /** Name of the program, of its figure and of its part of the README. */
  readonly name: string
  /** What the figure and the README are made with. */
  readonly full: Settings
  /** The same in seconds, to see that the program runs. */
  readonly quick: Settings
  measure(settings: Settings): Promise<Results>
  /** The text of an SVG file. */
  draw(results: Results): string
  /** Rows of a table; all have the columns of the first. */
  table(results: Results): readonly Readonly<Record<string, string>>[]
}

/** What is kept of a run: enough to draw it again and to say how it was made. */
interface Run<Settings, Results> {
  readonly settings: Settings
  readonly threads: number
  /** By the clock. */
  readonly seconds: number
  /** Of all threads. */
  readonly cpuSeconds: number
  readonly results: Results
}

/** Seeds data, weights and order of every experiment. */
export const seed = 1

function markdown(rows: readonly Readonly<Record<string, string>>[]): string {
  const columns = Object.keys(rows[0] ?? {})
  const lines = [columns, columns.map((_, i) => (i === 0 ? '---' : '--:')), ...rows.map((row) => Object.values(row))]
  return lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Puts `text` between the two comments that name the experiment. */
function intoReadme(file: URL, name: string, text: string): void {
  const readme = readFileSync(file, 'utf8')
  const part = new RegExp(`(<!-- ${name} -->\n)[^]*?(\n<!-- /${name} -->)`)
  if (!part.test(readme)) throw new Error(`The README has no place for ${name}.`)
  writeFileSync(
    file,
    readme.replace(part, (_, start, end) => start + text + end),
  )
}

/**
 * Runs an experiment as the command line says.
 *
 * Without flags with the full settings, into `figures/` and the README beside the programs; `--quick` with the short ones,
 * into the folder it is called from; `--draw` draws the last full run again. `--threads n` changes the time, not the
 * numbers.
 */
export async function experiment<Settings, Results>(work: Experiment<Settings, Results>): Promise<void> {
  const { values } = parseArgs({
    options: { quick: { type: 'boolean' }, draw: { type: 'boolean' }, threads: { type: 'string' } },
  })
  const { name, full, quick } = work
  const here = new URL('..', import.meta.url)
  const figures = new URL('figures/', here)
  const kept = new URL(`${name}.json`, figures)
  if (values.threads !== undefined) setThreads(Number(values.threads))

  if (values.quick) {
    const results = await work.measure(quick)
    writeFileSync(`${name}.svg`, work.draw(results))
    console.log(markdown(work.table(results)))
    return
  }
  if (!values.draw) {
    const [start, cpu] = [performance.now(), process.cpuUsage()]
    const results = await work.measure(full)
    const { user, system } = process.cpuUsage(cpu)
    const run: Run<Settings, Results> = {
      settings: full,
      threads: getThreads(),
      seconds: Math.round((performance.now() - start) / 1000),
      cpuSeconds: Math.round((user + system) / 1e6),
      results,
    }
    mkdirSync(figures, { recursive: true })
    writeFileSync(kept, `${JSON.stringify(run)}\n`)
  }
  const run = JSON.parse(readFileSync(kept, 'utf8')) as Run<Settings, Results>
  writeFileSync(new URL(`${name}.svg`, figures), work.draw(run.results))
  const table = markdown(work.table(run.results))
  const { settings, threads, seconds, cpuSeconds } = run
  const how = Object.entries(settings as object).map(([key, value]) => `${key} ${JSON.stringify(value)}`)
  const time = `${seconds} s by the clock and ${cpuSeconds} s of CPU on ${threads} thread${threads === 1 ? '' : 's'}`
  intoReadme(
    new URL('README.md', here),
    name,
    `${table}\n\n\`npx tsx examples/papers/${name}.ts\`: ${how.join(', ')}, seed ${seed}; ${time}.`,
  )
  console.log(table)
}
