import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { makeFolder } from '../src/index.ts'

describe('makeFolder', async () => {
  const root = await mkdtemp(join(tmpdir(), 'convnets-'))
  afterAll(() => rm(root, { recursive: true }))

  it('makes what is missing and leaves what is there', async () => {
    const path = join(root, 'a', 'b', 'c')
    await Promise.all([makeFolder(path), makeFolder(path)])
    await makeFolder(path)
    expect((await stat(path)).isDirectory()).toBe(true)
  })

  it('is refused below a file, and where a file system makes no folders', async () => {
    await writeFile(join(root, 'file'), '')
    await expect(makeFolder(join(root, 'file', 'x'))).rejects.toMatchObject({ code: 'ENOTDIR' })
    if (process.platform === 'linux') await expect(makeFolder('/proc/x/y')).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
