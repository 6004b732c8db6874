/** The program as a user runs it, and in-process for the many small cases. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { run } from '../src/index.ts'

/** What a run of the program came to. */
export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command in this process. */
export const command = (...argv: string[]): Promise<Outcome> => commandOn(undefined, ...argv)

/** Runs the command in this process on a terminal of so many columns. */
export async function commandOn(columns: number | undefined, ...argv: string[]): Promise<Outcome> {
  const texts = { stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr') => ({
    ...(columns !== undefined && { columns }),
    write: (text: string) => {
      texts[name] += text
    },
  })
  const code = await run(argv, { stdout: stream('stdout'), stderr: stream('stderr'), env: {} })
  return { code, ...texts }
}

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

/** A program that is running. */
export interface Running {
  readonly child: ChildProcess
  /** Resolves when the program has printed `text` to stderr; rejects if it ends before. */
  printed(text: string | RegExp): Promise<void>
  readonly outcome: Promise<Outcome>
}

/** Starts the program as a process of its own. */
export function start(argv: readonly string[], cwd: string): Running {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), main, ...argv], {
    cwd,
    env: { PATH: process.env.PATH, HOME: cwd },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const texts = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text
      child.emit('text')
    })
  }
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, ...texts }))
  })
  return {
    child,
    outcome,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (texts.stderr.match(text)) resolve()
        }
        child.on('text', look)
        child.on('close', () => reject(new Error(`The program ended without printing ${text}:\n${texts.stderr}`)))
        look()
      }),
  }
}

/** Runs the program as a process of its own. */
export const program = (argv: readonly string[], cwd: string): Promise<Outcome> => start(argv, cwd).outcome

/** A folder that is removed after the test. */
export async function scratch(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'convnets-cli-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}
