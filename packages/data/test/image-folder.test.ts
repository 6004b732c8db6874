import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { ArgumentError, FormatError } from '@convnets/tensor'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type BrokenFile, DataLoader, Image, imageFolder } from '../src/index.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'convnets-folder-'))
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

/** A picture of 2 x 3 that is `value` all over. */
async function picture(path: string, value = 7): Promise<void> {
  await mkdir(join(root, path, '..'), { recursive: true })
  await new Image(new Uint8Array(18).fill(value), 2, 3, 3).save(join(root, path))
}

const names = (files: readonly string[]): string[] => files.map((file) => file.slice(root.length + 1))

describe('classes and files', () => {
  test('are in natural order, or in the order of code points as in torchvision', async () => {
    const classes = ['class10', 'class2', 'Class3', 'class02', 'é', 'a1b10', 'a1b9', '\u{1F600}', '\uFF5E']
    for (const [i, name] of classes.entries()) await picture(`${name}/1.png`, i)
    await picture('class2/10.png')
    await picture('class2/9.png')
    const natural = await imageFolder(root)
    expect(natural.classes).toEqual([
      'Class3',
      'a1b9',
      'a1b10',
      'class02',
      'class2',
      'class10',
      'é',
      '\uFF5E',
      '\u{1F600}',
    ])
    expect(names(natural.files).filter((file) => file.startsWith('class2/'))).toEqual([
      'class2/1.png',
      'class2/9.png',
      'class2/10.png',
    ])
    // Python 3: sorted(classes), which compares code points.
    const torchvision = await imageFolder(pathToFileURL(root), { order: 'torchvision' })
    expect(torchvision.classes).toEqual([
      'Class3',
      'a1b10',
      'a1b9',
      'class02',
      'class10',
      'class2',
      'é',
      '\uFF5E',
      '\u{1F600}',
    ])
    expect(names(torchvision.files).filter((file) => file.startsWith('class2/'))).toEqual([
      'class2/1.png',
      'class2/10.png',
      'class2/9.png',
    ])
    for (const folder of [natural, torchvision]) {
      expect(folder.length).toBe(11)
      for (let i = 0; i < folder.length; i++) {
        const { image, label, file } = await folder.get(i)
        expect([image.height, image.width, image.channels]).toEqual([2, 3, 3])
        expect(folder.classes[label]).toBe(names([file])[0]!.split('/')[0])
        expect(folder.classToIndex.get(folder.classes[label]!)).toBe(label)
        expect(folder.labels[i]).toBe(label)
      }
    }
  })

  test('called like what objects have are classes like others', async () => {
    const classes = ['__proto__', 'constructor', 'hasOwnProperty', 'toString']
    for (const name of classes) await picture(`${name}/x.png`)
    const folder = await imageFolder(root)
    expect(folder.classes).toEqual(classes)
    expect(classes.map((name) => folder.classToIndex.get(name))).toEqual([0, 1, 2, 3])
    expect(folder.classToIndex.get('valueOf')).toBeUndefined()
    expect(({} as Record<string, unknown>).x).toBeUndefined()
    expect((await folder.get(0)).label).toBe(0)
  })

  test('may lie deeper, behind links, and beside other things; circles end', async () => {
    await picture('dog/b/2.PNG')
    await picture('dog/a.png')
    await writeFile(join(root, 'dog', 'notes.txt'), 'good dog')
    await writeFile(join(root, 'README.md'), 'pictures')
    await picture('elsewhere/c.png')
    await symlink(join(root, 'elsewhere'), join(root, 'dog', 'link'))
    await symlink(join(root, 'dog'), join(root, 'dog', 'circle'))
    const folder = await imageFolder(root)
    expect(folder.classes).toEqual(['dog', 'elsewhere'])
    expect(names(folder.files)).toEqual(['dog/a.png', 'dog/b/2.PNG', 'dog/link/c.png', 'elsewhere/c.png'])
    expect((await imageFolder(root, { extensions: ['.txt'], allowEmpty: true })).length).toBe(1)
  })

  test('are opened with as many channels as asked for', async () => {
    await picture('a/1.png', 50)
    const { image } = await (await imageFolder(root, { channels: 1 })).get(0)
    expect([image.channels, ...image.data]).toEqual([1, 50, 50, 50, 50, 50, 50])
    const loader = new DataLoader(await imageFolder(root))
    for await (const { input, target } of loader.epoch(0)) {
      expect([input.shape, target.dataSync()[0]]).toEqual([[1, 3, 2, 3], 0])
      input.dispose()
      target.dispose()
    }
  })
})

describe('broken files', () => {
  beforeEach(async () => {
    for (const name of ['a/1.png', 'a/2.png', 'b/1.png', 'b/2.png']) await picture(name)
    const whole = await new Image(new Uint8Array(18), 2, 3, 3).toPng()
    await writeFile(join(root, 'a', '2.png'), whole.subarray(0, whole.length - 20))
    await writeFile(join(root, 'b', '1.png'), '')
    await symlink(join(root, 'nothing'), join(root, 'b', '3.png'))
  })

  test('are refused when they are asked for, by name', async () => {
    const folder = await imageFolder(root)
    expect(folder.length).toBe(5)
    expect(folder.broken).toEqual([])
    await expect(folder.get(1)).rejects.toThrow(FormatError)
    await expect(folder.get(1)).rejects.toThrow(join(root, 'a', '2.png'))
    await expect(folder.get(4)).rejects.toMatchObject({ code: 'ENOENT', path: join(root, 'b', '3.png') })
    const loader = new DataLoader(folder, { batchSize: 5 })
    await expect(loader.epoch(0)[Symbol.asyncIterator]().next()).rejects.toThrow(join(root, 'a', '2.png'))
    await expect(folder.get(5)).rejects.toThrow(ArgumentError)
  })

  test('are left out and reported, if that is asked for', async () => {
    const seen: BrokenFile[] = []
    const folder = await imageFolder(root, { broken: 'skip', onBroken: (broken) => seen.push(broken) })
    expect(names(folder.files)).toEqual(['a/1.png', 'b/2.png'])
    expect(Array.from(folder.labels)).toEqual([0, 1])
    expect(names(seen.map(({ file }) => file))).toEqual(['a/2.png', 'b/1.png', 'b/3.png'])
    expect(seen[0]!.error).toBeInstanceOf(FormatError)
    expect(folder.broken).toEqual(seen.map(({ file, error }) => ({ file, message: error.message })))
    await expect(imageFolder(root, { broken: 'skip', signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    )
  })
})

describe('imageFolder refuses', () => {
  test('folders that hold no pictures', async () => {
    await expect(imageFolder(root)).rejects.toThrow(
      `imageFolder: root expects a folder for each class, got none in ${root}`,
    )
    await picture('a/1.png')
    await mkdir(join(root, 'empty'))
    await expect(imageFolder(root)).rejects.toThrow('for every class, got none for "empty"')
    expect((await imageFolder(root, { allowEmpty: true })).classes).toEqual(['a', 'empty'])
    await expect(imageFolder(join(root, 'nowhere'))).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test.each([
    [{ order: 'constructor' }, "order expects 'natural' or 'torchvision', got \"constructor\""],
    [{ broken: 'ignore' }, "broken expects 'refuse' or 'skip', got \"ignore\""],
  ])('%j', async (options, message) => {
    await expect(imageFolder(root, options as never)).rejects.toThrow(message)
  })
})
