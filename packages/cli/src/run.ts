/** One call of the program, from its arguments to its exit code. */
import { readFileSync } from 'node:fs'
import { readOptions } from '@convnets/tensor'
import { CommanderError } from 'commander'
import colors from 'picocolors'
import type { Context, Stream } from './context.ts'
import { exitCode, exitCodes, Interruption, sentence } from './failure.ts'
import { createProgram } from './program.ts'

/** Where a run writes and what stops it; the process's own by default. */
export interface RunOptions {
  /** Results (default `process.stdout`). */
  readonly stdout?: Stream
  /** Progress and errors (default `process.stderr`). */
  readonly stderr?: Stream
  /** Environment (default `process.env`): `CI` and `NO_COLOR` turn the progress bar into lines. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Ends the run early: training saves a checkpoint first. */
  readonly signal?: AbortSignal
}

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  return (manifest as { version: string }).version
}

/** Whether an error says nothing but that the signal was aborted. */
function isAbort(error: unknown, signal: AbortSignal): boolean {
  return signal.aborted && (error === signal.reason || (error instanceof Error && error.name === 'AbortError'))
}

/**
 * Runs the `convnets` command and resolves to its exit code: 0 done, 1 failed, 2 wrong usage, 130 or 143 interrupted.
 * Everything is printed to the given streams; what the user did wrong is one sentence there and never rejects.
 *
 * @param argv what stands after the program's name: `['classify', 'model.safetensors', 'boot.png']`.
 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<number> {
  const { stdout, stderr, env, signal } = readOptions('run', options, {
    stdout: process.stdout,
    stderr: process.stderr,
    env: process.env,
    signal: new AbortController().signal,
  })
  const colored = stderr.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb'
  const context: Context = { stdout, stderr, env, signal, colors: colors.createColors(colored) }
  try {
    await createProgram(context, readVersion()).parseAsync([...argv], { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof CommanderError) {
      // Help and version have been printed; without a command, help is the answer to a mistake.
      if (error.exitCode === 0) return exitCodes.ok
      if (error.code !== 'commander.help') {
        stderr.write(`${context.colors.red('error:')} ${error.message.replace(/^error: /, '')}\n`)
      }
      return exitCodes.usage
    }
    const shown = isAbort(error, signal) ? signal.reason : error
    const label = shown instanceof Interruption ? '' : `${context.colors.red('error:')} `
    stderr.write(`${label}${sentence(shown)}\n`)
    if (argv.includes('--debug') && error instanceof Error) stderr.write(`${error.stack}\n`)
    return exitCode(shown)
  }
}
