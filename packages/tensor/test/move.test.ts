/** Tensors and what holds them from one backend to another, in place. With a GPU: `gpu.test.ts` and the tests of `train`. */
import { describe, expect, it } from 'vitest'
import {
  ArgumentError,
  type Backend,
  BackendError,
  DisposedError,
  GradientError,
  memory,
  moveTo,
  mul,
  reference,
  type Tensor,
  tensor,
  tidy,
  wasm,
} from '../src/index.ts'

const leaf = (...values: number[]): Tensor => tensor(values, { requiresGrad: true, backend: wasm })
const holder = (...tensors: Tensor[]) => ({ ownTensors: () => tensors })
const buffers = () => [memory(wasm).buffers, memory(reference).buffers]

describe('moveTo', () => {
  it('moves tensors and their gradients, which stay the objects they are, and frees what they leave', async () => {
    const [x, y, count] = [leaf(1, 2), leaf(3), tensor([7], { dtype: 'int32', backend: wasm })]
    tidy(() => mul(x, 5).sum().backward())
    const { grad } = x
    const [onWasm = 0, onReference = 0] = buffers()
    await moveTo(reference, holder(x, y), count, x)
    expect(buffers()).toEqual([onWasm - 4, onReference + 4])
    for (const one of [x, y, count, grad]) expect(one?.backend).toBe(reference)
    expect([x.dataSync(), y.dataSync(), count.dataSync()]).toEqual([
      Float32Array.of(1, 2),
      Float32Array.of(3),
      Int32Array.of(7),
    ])
    expect(x.grad).toBe(grad)
    // Gradients go on being added where the leaf is now.
    tidy(() => mul(x, x).sum().backward())
    expect(x.grad?.dataSync()).toEqual(Float32Array.of(7, 9))
    await moveTo(wasm, x, y, count)
    await moveTo(wasm, x)
    expect(buffers()).toEqual([onWasm, onReference])
    expect(x.grad?.dataSync()).toEqual(Float32Array.of(7, 9))
    for (const one of [x, y, count]) one.dispose()
    expect(buffers()).toEqual([onWasm - 4, onReference])
  })

  it('keeps shared what shares its memory and moves along, and leaves the rest', async () => {
    const x = leaf(1, 2)
    const [along, behind] = [x.detach(), x.detach()]
    await moveTo(reference, x, along)
    expect(along.storage).toBe(x.storage)
    expect(behind.backend).toBe(wasm)
    x.assign_([5, 6])
    expect(along.dataSync()).toEqual(Float32Array.of(5, 6))
    expect(behind.dataSync()).toEqual(Float32Array.of(1, 2))
    for (const one of [x, along, behind]) one.dispose()
  })

  it('takes no gradient of a graph from before', async () => {
    const x = leaf(1, 2)
    const y = mul(x, x).sum()
    await moveTo(reference, x)
    expect(() => y.backward()).toThrow(/^grad: Tensor #\d+ \(2\) float32 lies on reference, its gradient on wasm$/)
    expect(x.grad).toBeUndefined()
    for (const one of [x, y]) one.dispose()
  })

  /** Moves `x` and `y` while `meanwhile` is done, which is to fail and leave both where they were. */
  async function fails(to: Backend, meanwhile: (x: Tensor, y: Tensor) => void = () => {}): Promise<unknown> {
    const before = buffers()
    const [x, y] = [leaf(1, 2), leaf(3)]
    const moving = moveTo(to, x, y)
    meanwhile(x, y)
    const error = await moving.then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(x.backend).toBe(wasm)
    if (!y.disposed) expect(y.dataSync()).toHaveLength(1)
    x.dispose()
    y.dispose()
    expect(buffers()).toEqual(before)
    return error
  }

  it('moves nothing where the other backend fails halfway, at once or later', async () => {
    let uploads = 0
    const full: Backend = {
      ...reference,
      upload(dtype, data) {
        if (++uploads === 2) throw new BackendError('full')
        return reference.upload(dtype, data)
      },
    }
    expect(await fails(full)).toMatchObject({ message: 'full' })
    const late: Backend = { ...reference, arrived: () => Promise.reject(new BackendError('late')) }
    expect(await fails(late)).toMatchObject({ message: 'late' })
  })

  it('moves nothing that was changed or freed in the meantime', async () => {
    const changed = await fails(reference, (_, y) => y.assign_([4]))
    expect(changed).toBeInstanceOf(BackendError)
    expect(String(changed)).toMatch(/moveTo: Tensor #\d+ \(1\) float32 was changed while it moved, nothing was moved/)
    expect(String(await fails(reference, (_, y) => y.dispose()))).toMatch(/\(1\) float32 was freed while it moved/)
  })

  it('says what it does not move', async () => {
    using x = leaf(1)
    using y = mul(x, 2)
    const freed = leaf(1)
    freed.dispose()
    await expect(moveTo(reference, x, y)).rejects.toThrow(GradientError)
    await expect(moveTo(reference, x, y)).rejects.toThrow(/^moveTo: item 1 expects leaves, got Tensor #\d+ \(1\) .*mul/)
    await expect(moveTo(reference, x, freed)).rejects.toThrow(DisposedError)
    await expect(moveTo('float64' as never, x)).rejects.toThrow(
      /^moveTo: backend expects a backend, got float64, a dtype$/,
    )
    await expect(moveTo(undefined as never, x)).rejects.toThrow(ArgumentError)
    await expect(moveTo(reference, x, new Map() as never)).rejects.toThrow(
      /^moveTo: item 1 expects a tensor, a module, an optimizer or the like, got an object of class Map$/,
    )
    expect(x.backend).toBe(wasm)
  })
})
