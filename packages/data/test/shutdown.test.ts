import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, test, vi } from 'vitest'

const program = fileURLToPath(new URL('modules/program.mjs', import.meta.url))

/** Milliseconds that a program may take: it and its workers compile the package, on a machine that may be busy. */
const PATIENCE = 300_000

vi.setConfig({ testTimeout: PATIENCE })

interface End {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

function run(what: string): Promise<End> {
  return new Promise((resolve) => {
    const options = { timeout: PATIENCE - 10_000, killSignal: 'SIGKILL' } as const
    execFile(process.execPath, ['--import', 'tsx', program, what], options, (error, stdout, stderr) => {
      resolve({ code: error?.killed ? 'had to be killed' : (error?.code ?? 0), stdout, stderr })
    })
  })
}

describe('a program with workers ends by itself', () => {
  test.each(['whole', 'leave', 'abort', 'forget', 'close'])('after: %s', async (what) => {
    expect(await run(what)).toEqual({ code: 0, stdout: 'done\n', stderr: '' })
  })

  test('that fails fails with its own error', async () => {
    const { code, stderr } = await run('throw')
    expect(code).toBe(1)
    expect(stderr).toMatch(/Error: thrown/)
  })

  test('that exits exits', async () => {
    expect(await run('exit')).toEqual({ code: 7, stdout: '', stderr: '' })
  })
})
