/** The command: its arguments, its lines and its exit code. */
import { statSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { type Backend, getPrecision, reference, setPrecision, setThreads, wasm } from '@convnets/tensor'
import { type Arithmetic, attempt } from './case.ts'
import { sources } from './files.ts'
import { nodeWebGPU } from './webgpu.ts'

const usage = `Usage: pnpm -s verify FOLDER [options]

Compares outputs, gradients, training runs and models with the reference values in FOLDER: ops.json, training.json,
transforms.json, expected.json and models/*.json, wherever they lie in it. Prints one line per case with its relative
errors, and at last how many passed and failed. Exit code 1 if any failed, 2 for a wrong call.

  --only REGEX                  only cases whose id, file or whole name matches
  --backend wasm|reference|gpu  default: ops and training on reference (float64) and wasm, models on wasm
  --precision fast|strict       of the wasm backend; default: what it is set to
  --threads N                   of the wasm backend`

class UsageError extends Error {}

interface Call {
  readonly folder: string
  readonly only: RegExp
  readonly backend: Arithmetic['name'] | undefined
  readonly precision: Arithmetic['precision'] | undefined
  readonly threads: number | undefined
}

function oneOf<T extends string>(option: string, value: string | undefined, allowed: readonly T[]): T | undefined {
  if (value === undefined) return undefined
  const found = allowed.find((name) => name === value)
  if (found === undefined) throw new UsageError(`--${option} expects ${allowed.join(' or ')}, got ${value}`)
  return found
}

function readCall(args: string[]): Call | undefined {
  const text = { type: 'string' } as const
  let parsed: ReturnType<typeof parse>
  const parse = () =>
    parseArgs({
      args,
      allowPositionals: true,
      options: { only: text, backend: text, precision: text, threads: text, help: { type: 'boolean', short: 'h' } },
    })
  try {
    parsed = parse()
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const { values, positionals } = parsed
  if (values.help === true) return undefined
  const [folder, more] = positionals
  if (folder === undefined) throw new UsageError('FOLDER is missing')
  if (more !== undefined) throw new UsageError(`one FOLDER expected, got ${more} too`)
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true)
    throw new UsageError(`${folder} is no folder`)
  const threads = values.threads === undefined ? undefined : Number(values.threads)
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new UsageError(`--threads expects a positive integer, got ${values.threads}`)
  }
  let only = /(?:)/
  try {
    if (values.only !== undefined) only = new RegExp(values.only)
  } catch (error) {
    throw new UsageError(`--only expects a regular expression: ${(error as Error).message}`)
  }
  return {
    folder,
    only,
    backend: oneOf('backend', values.backend, ['wasm', 'reference', 'gpu']),
    precision: oneOf('precision', values.precision, ['fast', 'strict']),
    threads,
  }
}

/** The gpu backend on WebGPU, or why there is none. */
async function startGpu(print: (line: string) => void): Promise<Backend | undefined> {
  const { gpu } = await import('@convnets/tensor/gpu')
  try {
    const backend = await gpu({ mode: 'webgpu', webgpu: await nodeWebGPU() })
    print(`gpu: ${backend.info().mode} on ${backend.info().adapter}`)
    return backend
  } catch (error) {
    print((error as Error).message)
    return undefined
  }
}

async function verify(call: Call, print: (line: string) => void): Promise<number> {
  if (call.threads !== undefined) setThreads(call.threads)
  if (call.precision !== undefined) setPrecision(call.precision)
  const precision = getPrecision()
  const backends = { reference, wasm, gpu: call.backend === 'gpu' ? await startGpu(print) : undefined }
  const arithmetic = (name: Arithmetic['name']): Arithmetic => ({
    name,
    backend: backends[name],
    dtype: name === 'reference' ? 'float64' : 'float32',
    precision,
  })
  let [passed, failed] = [0, 0]
  for (const { file, cases, arithmetic: on } of sources(call.folder, arithmetic, call.backend)) {
    for (const one of cases) {
      if (![one.id, file, `${file} ${one.id}`].some((name) => call.only.test(name))) continue
      const outcome = await attempt(one)
      if (outcome.passed) passed++
      else failed++
      print(`${outcome.passed ? 'ok    ' : 'FAILED'} ${on.name.padEnd(9)} ${file} ${one.id}: ${outcome.text}`)
    }
    for (const { close } of cases) close?.()
  }
  if (passed + failed === 0) throw new UsageError(`${call.folder} holds no case that --only selects`)
  print(`${passed} passed, ${failed} failed`)
  return failed > 0 ? 1 : 0
}

/** Where a command writes. */
export interface Terminal {
  out(line: string): void
  error(line: string): void
}

/** Runs the command with its arguments. Gives the exit code: 1 where a case failed, 2 for a wrong call. */
export async function runVerify(args: string[], { out, error }: Terminal): Promise<number> {
  try {
    const call = readCall(args)
    if (call !== undefined) return await verify(call, out)
    out(usage)
    return 0
  } catch (problem) {
    if (!(problem instanceof UsageError)) throw problem
    error(`verify: ${problem.message}\n\n${usage}`)
    return 2
  }
}
