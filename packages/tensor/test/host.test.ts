import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { builtin, cacheFolder, makeFolder, wholeNumber } from '../src/host.ts'

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

describe('cacheFolder', () => {
  afterEach(() => vi.unstubAllEnvs())

  it('is where XDG says, or in the home folder', () => {
    vi.stubEnv('XDG_CACHE_HOME', '/somewhere')
    expect(cacheFolder('x')).toBe(join('/somewhere', 'convnets', 'x'))
    for (const useless of ['', 'relative/path']) {
      vi.stubEnv('XDG_CACHE_HOME', useless)
      expect(cacheFolder('x')).toBe(join(homedir(), '.cache', 'convnets', 'x'))
    }
  })
})

it('says who needs a file system where there is none', () => {
  vi.stubGlobal('process', {})
  try {
    expect(() => builtin('node:fs', 'loadWeights')).toThrow(
      'loadWeights: expects a file system (Node 20.16 or newer), got a host without one',
    )
  } finally {
    vi.unstubAllGlobals()
  }
})

it('takes whole numbers of headers alone', () => {
  expect(['12', '0', '', null, undefined, '-1', '1.5', '1e3', '1'.repeat(16)].map(wholeNumber)).toEqual([
    12,
    0,
    ...new Array(7).fill(undefined),
  ])
})
