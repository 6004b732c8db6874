/** What ends a command early, as a sentence for the user and an exit code for the shell. */
import { basename } from 'node:path'
import { printable } from './report.ts'

/** Exit codes of the program. 130 and 143 are what shells report for SIGINT and SIGTERM. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, SIGINT: 130, SIGTERM: 143 } as const

/** The command line itself is wrong: exit code 2. */
export class UsageError extends Error {
  override name = 'UsageError'
}

/** Something that the command line asks for cannot be done: exit code 1. */
export class Failure extends Error {
  override name = 'Failure'
}

/** The user or the system ended the program. The message says what was saved and how to go on. */
export class Interruption extends Error {
  override name = 'Interruption'
  readonly signal: 'SIGINT' | 'SIGTERM'

  constructor(signal: 'SIGINT' | 'SIGTERM', message = 'Interrupted.') {
    super(message)
    this.signal = signal
  }
}

const diskProblems: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist',
  EACCES: 'may not be read or written by you',
  EPERM: 'may not be read or written by you',
  EROFS: 'is on a disk that may only be read',
  ENOSPC: 'does not fit: the disk is full',
  EDQUOT: 'does not fit: your disk quota is used up',
  EISDIR: 'is a folder, not a file',
  ENOTDIR: 'has a file where a folder should be',
  EEXIST: 'has a file where a folder should be',
}

/** Node's error for a file, as a sentence; undefined for other errors. */
export function diskProblem(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  const problem = diskProblems[String(error.code)]
  if (problem === undefined) return undefined
  const path = 'path' in error ? String(error.path) : ''
  // Files are written under a temporary name first; the name that was meant is what says something.
  const meant = path.replace(basename(path), basename(path).replace(/^\.(.+)\.[0-9a-f-]{36}\.tmp$/, '$1'))
  return meant === '' ? `A file ${problem}.` : `${meant} ${problem}.`
}

/** One sentence for whatever was thrown. */
export function sentence(error: unknown): string {
  const text = diskProblem(error) ?? (error instanceof Error ? error.message : String(error))
  return text.trimEnd().split('\n').map(printable).join('\n')
}

export function exitCode(error: unknown): number {
  if (error instanceof Interruption) return exitCodes[error.signal]
  return error instanceof UsageError ? exitCodes.usage : exitCodes.failed
}
