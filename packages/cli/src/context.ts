/** What a command is given besides its options: where to write, whether someone is watching, when to stop. */
import type colors from 'picocolors'

/** A place for text: `process.stdout`, or anything that collects it. */
export interface Stream {
  write(text: string): unknown
  readonly isTTY?: boolean
  /** Characters in a line of the terminal. */
  readonly columns?: number
}

/** The surroundings of a command. */
export interface Context {
  /** Results. */
  readonly stdout: Stream
  /** Progress and errors. */
  readonly stderr: Stream
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted to end the program early; the reason is an `Interruption`. */
  readonly signal: AbortSignal
  readonly colors: ReturnType<typeof colors.createColors>
}

/** Whether a bar may be drawn: on a terminal, unless plain text is asked for. */
export function isInteractive({ stderr, env }: Pick<Context, 'stderr' | 'env'>): boolean {
  const set = (name: string): boolean => !['', undefined, '0', 'false'].includes(env[name])
  return stderr.isTTY === true && !set('CI') && !set('NO_COLOR') && env.TERM !== 'dumb'
}
