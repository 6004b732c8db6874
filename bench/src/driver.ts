/** Contestants from the outside: processes that answer, fall silent, or die without taking the benchmark with them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { ContestantName, Job } from './cases.ts'
import type { Answer, Request } from './contestants/serve.ts'

/** How to start a contestant. */
export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

const folder = fileURLToPath(new URL('..', import.meta.url))
const contestant = fileURLToPath(new URL('../contestant.ts', import.meta.url))

/** A peer, which is run through a few lines of TypeScript. */
export function peerProgram(name: ContestantName, threads: number): Program {
  return { command: process.execPath, args: ['--import', 'tsx', contestant, name, String(threads)] }
}

/**
 * Our packages in one file of JavaScript, as a user's bundler makes it: what runs TypeScript as it lies gives every closure
 * its name when it is made, which took a tenth of the time of a network of many small layers.
 */
export async function bundleOurs(): Promise<string> {
  const outfile = join(folder, '.cache', 'contestant.mjs')
  await build({
    entryPoints: [contestant],
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'bundle',
    external: ['sharp', 'gpu.js'],
    logLevel: 'warning',
  })
  return outfile
}

/** What `bundleOurs` made, on this Node or another. */
export function ourProgram(
  bundle: string,
  name: 'ours' | 'turbo' | 'uncompiled',
  threads: number,
  node: string = process.execPath,
): Program {
  return { command: node, args: [bundle, name, String(threads)] }
}

/** The same steps in PyTorch. */
export function torchProgram(python: string, threads: number): Program {
  const file = fileURLToPath(new URL('../pytorch/steps.py', import.meta.url))
  const env = { OMP_NUM_THREADS: String(threads), OPENBLAS_NUM_THREADS: String(threads) }
  return { command: python, args: [file, String(threads)], env }
}

/** What became of a request. */
export type Outcome<T> = { readonly value: T } | { readonly unsupported: string } | { readonly failed: string }

const lastLines = (text: string): string => text.trim().split('\n').slice(-3).join(' / ').slice(-300)

/** One process, started when it is first asked and again after it died. */
export class Process {
  readonly name: ContestantName
  version = ''
  threads = 0
  readonly #program: Program
  readonly #seconds: number
  #child: ChildProcess | undefined
  #noise = ''
  #waiting: ((answer: Answer | { died: string }) => void) | undefined
  /** Why it is not asked any more: it does not start. */
  #hopeless: string | undefined

  /** `seconds` that an answer may take. */
  constructor(name: ContestantName, how: Program, seconds = 120) {
    this.name = name
    this.#program = how
    this.#seconds = seconds
  }

  /** Starts it unless it runs; says why where it cannot be had. */
  async start(): Promise<string | undefined> {
    if (this.#child !== undefined || this.#hopeless !== undefined) return this.#hopeless
    const { command, args, env } = this.#program
    const child = spawn(command, args, {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#noise = ''
    const hear = (chunk: Buffer): void => {
      this.#noise = (this.#noise + chunk).slice(-4000)
    }
    child.stdout?.on('data', hear)
    child.stderr?.on('data', hear)
    child.stdin?.on('error', () => {})
    const gone = (reason: string): void => {
      if (this.#child !== child) return
      this.#child = undefined
      this.#waiting?.({ died: `${reason}: ${lastLines(this.#noise)}` })
    }
    child.on('error', (error) => gone(error.message))
    child.on('close', (code, signal) => gone(signal ? `ended by ${signal}` : `ended with code ${code}`))
    const hello = this.#next()
    createInterface(child.stdio[3] as Readable).on('line', (line) => this.#waiting?.(JSON.parse(line) as Answer))
    const answer = await hello
    if ('hello' in answer) {
      this.version = answer.hello.version
      this.threads = answer.hello.threads
      return undefined
    }
    this.#hopeless = 'failed' in answer ? answer.failed : 'died' in answer ? answer.died : 'it speaks out of turn'
    this.stop()
    return this.#hopeless
  }

  #next(): Promise<Answer | { died: string }> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done({ died: `no answer within ${this.#seconds} s` }), this.#seconds * 1000)
      const done = (answer: Answer | { died: string }): void => {
        clearTimeout(timer)
        this.#waiting = undefined
        if ('died' in answer) this.stop()
        resolve(answer)
      }
      this.#waiting = done
    })
  }

  async #ask<T>(request: Request, read: (answer: Answer) => T | undefined): Promise<Outcome<T>> {
    const problem = await this.start()
    if (problem !== undefined) return { unsupported: problem }
    const reply = this.#next()
    this.#child?.stdin?.write(`${JSON.stringify(request)}\n`)
    const answer = await reply
    if ('died' in answer) return { failed: answer.died }
    if ('unsupported' in answer || 'failed' in answer) return answer
    const value = read(answer)
    return value === undefined ? { failed: 'it speaks out of turn' } : { value }
  }

  prepare(job: Job): Promise<Outcome<true>> {
    return this.#ask({ do: 'prepare', job }, () => true)
  }

  turn(milliseconds: number, again: boolean): Promise<Outcome<readonly number[]>> {
    return this.#ask({ do: 'turn', milliseconds, again }, (answer) => ('times' in answer ? answer.times : undefined))
  }

  finish(): Promise<Outcome<true>> {
    return this.#ask({ do: 'finish' }, () => true)
  }

  peak(): Promise<Outcome<number>> {
    return this.#ask({ do: 'peak' }, (answer) => ('gflops' in answer ? answer.gflops : undefined))
  }

  stop(): void {
    const child = this.#child
    this.#child = undefined
    child?.kill('SIGKILL')
  }
}
