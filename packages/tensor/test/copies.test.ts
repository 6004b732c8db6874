/** Ops that copy write all of their result, whatever its memory held before; only padding fills it first. */
import { afterEach, expect, test, vi } from 'vitest'
import { cat, chunk, type DType, flip, full, pad, slice, stack, type Tensor, tensor, tidy, wasm } from '../src/index.ts'

const joins = (a: Tensor): Tensor => cat([a, a.add(1), a], 1)
const cases: [string, (x: Tensor) => Tensor][] = [
  ['cat of images', joins],
  ['cat of rows', (x) => cat([x.reshape([6, 35]), x.reshape([6, 35])])],
  ['cat of cubes', (x) => joins(x.reshape([2, 3, 35]))],
  ['stack', (x) => stack([x.reshape([210]), x.reshape([210])], 1)],
  ['slice with steps', (x) => slice(x, [undefined, [1, 3], [0, 5, 2]])],
  ['chunk', (x) => chunk(x, 2, 1)[0] as Tensor],
  ['flip', (x) => flip(x, [1, 3])],
  ['permute', (x) => x.permute([3, 0, 2, 1])],
  ['expand', (x) => x.reshape([2, 3, 1, 35]).expand([2, 3, 4, 35])],
  ['reshape from images', (x) => x.reshape([2, 105])],
  ['reshape to images', (x) => x.reshape([210]).reshape([2, 7, 3, 5])],
  ['pad', (x) => pad(x, [1, 2, 0, 3], { value: 7 })],
]

/** Leaves numbers that no result has in the memory that is given out next. */
function poison(dtype: DType): void {
  const value = dtype === 'float32' || dtype === 'float64' ? Number.NaN : dtype === 'bool' ? 1 : 111
  tidy(() => {
    for (const size of [400, 1600, 6400, 25_600]) full([size], value, { dtype })
  })
}

const image = (dtype: DType): Tensor =>
  tensor(
    Array.from({ length: 210 }, (_, i) => (i * 7) % 97),
    { shape: [2, 3, 5, 7], dtype: dtype },
  )

afterEach(() => vi.restoreAllMocks())

test.each(cases)('%s', (_, run) => {
  for (const dtype of ['float32', 'float64', 'int32', 'uint8'] as const) {
    const clean = tidy(() => [...run(image(dtype)).dataSync()])
    const dirty = tidy(() => {
      const x = image(dtype)
      poison(dtype)
      return [...run(x).dataSync()]
    })
    expect(dirty).toEqual(clean)
    expect(clean.some(Number.isNaN)).toBe(false)
  }
})

test('nothing but padding fills its result before', () => {
  for (const [name, run] of cases) {
    const fill = vi.spyOn(wasm, 'fill')
    tidy(() => run(image('float32')))
    expect([name, fill.mock.calls.length]).toEqual([name, name === 'pad' ? 1 : 0])
    fill.mockRestore()
  }
})

test('memory that is given out as it is may hold anything', () => {
  tidy(() => {
    const numbers = full([500], Number.NaN)
    numbers.dispose()
    const buffer = wasm.alloc('float32', 500)
    expect(wasm.readSync(buffer).every(Number.isNaN)).toBe(true)
    wasm.free(buffer)
  })
})
