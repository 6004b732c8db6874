import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeFileAtomic } from '@convnets/weights'
import { describe, expect, test } from 'vitest'
import { exitCode, Failure, Interruption, sentence, UsageError } from '../src/failure.ts'

describe('sentences', () => {
  const caught = async (promise: Promise<unknown>): Promise<unknown> =>
    promise.then(
      () => undefined,
      (error) => error,
    )

  test('a missing file, a folder in place of a file, a file in place of a folder', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'convnets-cli-'))
    const file = join(folder, 'file')
    await writeFile(file, '')
    const missing = join(folder, 'missing')
    expect(sentence(await caught(readFile(missing)))).toBe(`${missing} does not exist.`)
    expect(sentence(await caught(readdir(file)))).toBe(`${file} has a file where a folder should be.`)
    expect(sentence(await caught(readFile(folder)))).toMatch(/is a folder, not a file\.$/)
  })

  test('a file that is written under a temporary name is called by its own', async () => {
    const path = join(tmpdir(), 'convnets-no-such-folder', 'model.safetensors')
    expect(sentence(await caught(writeFileAtomic(path, new Uint8Array())))).toBe(`${path} does not exist.`)
  })

  test('exit codes say what kind of end it was', () => {
    expect(exitCode(new UsageError('x'))).toBe(2)
    expect(exitCode(new Failure('x'))).toBe(1)
    expect(exitCode(new Error('x'))).toBe(1)
    expect(exitCode(new Interruption('SIGINT'))).toBe(130)
    expect(exitCode(new Interruption('SIGTERM'))).toBe(143)
  })
})
