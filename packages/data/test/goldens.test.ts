import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { transformCases } from '../../../scripts/verify/transforms.ts'

const text = readFileSync(new URL('../../../fixtures/goldens/transforms.json', import.meta.url), 'utf8')

describe('Pillow 9 and torchvision 0.14', () => {
  const cases = transformCases(text, 'transforms.json')

  test('all of them are there', () => {
    expect(cases).toHaveLength(205)
  })

  test.each(cases)('$id', async ({ run }) => {
    expect(await run()).toMatchObject({ passed: true })
  })

  test('a byte that is off by one does not pass', async () => {
    const golden = JSON.parse(text)
    const one = golden.cases.find(({ op }: { op: string }) => op === 'resize')
    const bytes = Buffer.from(one.bytes, 'base64')
    bytes[100] = (bytes[100] as number) ^ 1
    const changed = { ...golden, normalize: undefined, cases: [{ ...one, bytes: bytes.toString('base64') }] }
    const [first] = transformCases(JSON.stringify(changed), 'changed.json')
    expect(await first?.run()).toEqual({
      passed: false,
      text: `1 of ${bytes.length} bytes off by at most 1 > 0`,
    })
  })
})
