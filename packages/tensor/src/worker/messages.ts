/** What a page and the worker with its engine say to each other. */
import type { PackedError } from './errors.ts'
import type { ThreadInfo } from './threads.ts'

/** What a job is given beside its input. */
export interface JobContext<Progress = unknown> {
  /**
   * Hands `value` to the page's `onProgress`, as structured cloning copies it. Await it: the event loop turns meanwhile, so
   * that the page can stop the job. Rejects with the signal's reason when it has.
   */
  progress(value: Progress): Promise<void>
  /** Aborted when the page gives the job up; seen after an `await` that lets the event loop turn. */
  readonly signal: AbortSignal
}

/** A function of the worker. What it takes, gives and reports is copied by structured cloning, so tensors cannot cross. */
export type Job<Input, Output, Progress> = (input: Input, context: JobContext<Progress>) => Output | Promise<Output>

/** The functions that a worker serves, by name. `never` is what a function of any kind can be given. */
export type Jobs = Readonly<Record<string, Job<never, unknown, never>>>

/** A message of ours, among those that a program may send itself. */
type Marked<T> = T & { readonly convnets: true }

/** From the page. */
export type Request = Marked<
  | { readonly kind: 'hello'; readonly lock: string; readonly threads: number | undefined }
  | { readonly kind: 'run'; readonly id: number; readonly name: string; readonly input: unknown }
  | { readonly kind: 'abort'; readonly id: number; readonly reason: PackedError }
>

/** From the worker. `serving` asks for a hello, which may have come too early. */
export type Answer = Marked<
  | { readonly kind: 'serving' }
  | { readonly kind: 'ready'; readonly info: ThreadInfo }
  | { readonly kind: 'unable'; readonly error: PackedError }
  | { readonly kind: 'progress'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'done'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'failed'; readonly id: number; readonly error: PackedError; readonly aborted: boolean }
>

/** Whether a message is one of ours. */
export function isOurs(data: unknown): data is Marked<object> {
  return typeof data === 'object' && data !== null && 'convnets' in data && data.convnets === true
}

/** One end of the line: a `Worker`, the inside of one, or a `MessagePort`. */
export interface Port {
  postMessage(message: unknown): void
  addEventListener(type: string, listener: (event: Event) => void): void
  removeEventListener(type: string, listener: (event: Event) => void): void
  /** Ports have to be started. */
  start?(): void
}
