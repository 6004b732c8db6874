import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FormatError } from '@convnets/tensor'
import { expect, test } from 'vitest'
import { readTar } from '../src/tar.ts'
import { bitFlips, truncations } from './corrupt.ts'
import { tarFile } from './tar.ts'

const text = (value: string): Uint8Array => new TextEncoder().encode(value)
const files = [
  ['folder/', new Uint8Array(0), '5'],
  ['folder/a.txt', text('hello')],
  ['folder/empty', new Uint8Array(0)],
  ['__proto__', text('x'.repeat(600))],
  ['link', new Uint8Array(0), '2'],
] as const
const plain = new Map([
  ['folder/a.txt', 'hello'],
  ['folder/empty', ''],
  ['__proto__', 'x'.repeat(600)],
])
const read = (bytes: Uint8Array): Map<string, string> =>
  new Map([...readTar(bytes, { file: 'x.tar' })].map(([name, value]) => [name, new TextDecoder().decode(value)]))

test('plain files come out, under names that touch no object', () => {
  expect(read(tarFile(files))).toEqual(plain)
  expect(read(new Uint8Array(512))).toEqual(new Map())
})

test.runIf(process.platform !== 'win32')('what tar writes is read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'convnets-tar-'))
  try {
    const long = 'd'.repeat(90)
    mkdirSync(join(folder, 'in', long), { recursive: true })
    writeFileSync(join(folder, 'in', 'a.bin'), Buffer.alloc(3073, 7))
    writeFileSync(join(folder, 'in', long, 'b.bin'), 'b')
    for (const format of ['ustar', 'v7', 'gnu']) {
      const archive = join(folder, `${format}.tar`)
      execFileSync('tar', [`--format=${format}`, '-cf', archive, '-C', folder, 'in'])
      const found = readTar(readFileSync(archive))
      expect(found.get('in/a.bin')).toHaveLength(3073)
      expect([...found.keys()].sort()).toEqual(['in/a.bin', `in/${long}/b.bin`])
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('an archive cut anywhere is refused, up to the empty block that ends it', () => {
  const archive = tarFile(files)
  for (const { what, bytes } of truncations(archive)) {
    if (bytes.length >= archive.length - 512) expect(read(bytes), what).toEqual(plain)
    else expect(() => read(bytes), what).toThrow(FormatError)
  }
})

test('a bit flipped in a header is refused, and in contents changes nothing else', () => {
  const archive = tarFile([['a', text('hello')]])
  for (const { what, at, bytes } of bitFlips(archive)) {
    // What follows the first empty block is not read.
    if (at >= 1536) expect(read(bytes), what).toEqual(new Map([['a', 'hello']]))
    else if (at >= 512 && at < 1024) expect([...read(bytes).keys()], what).toEqual(['a'])
    // The checksum is a number, written in more than one way.
    else if (at >= 148 && at < 156) {
      try {
        expect([...read(bytes).keys()], what).toEqual(['a'])
      } catch (error) {
        expect(error, what).toBeInstanceOf(FormatError)
      }
    } else expect(() => read(bytes), what).toThrow(FormatError)
  }
})

test('two files of one name, sizes that are none or too large are refused, with their place', () => {
  expect(() => read(tarFile([files[1], files[1]]))).toThrow(
    'x.tar: at byte 1024: expected files of different names, got "folder/a.txt" twice',
  )
  const sized = (size: string): Uint8Array => tarFile([files[1]], (header) => header.set(text(size), 124))
  expect(() => read(sized('77777777777'))).toThrow(
    'x.tar: at byte 124: expected 8589934591 bytes of contents, got 1536 bytes',
  )
  expect(() => read(sized('-0000000001'))).toThrow('x.tar: at byte 124: expected a size in octal digits')
})
