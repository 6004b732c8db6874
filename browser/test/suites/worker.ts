/** What can go wrong with an engine in a worker: every call ends, with an error of the right class. */
import { expect, it } from 'vitest'
import type { Tests } from '../../pages/tests.ts'
import type { Driver } from '../drive.ts'

declare const tests: Tests

export function workerSuite({ open }: Driver): void {
  it('hands errors over with their classes, and says what cannot cross', async () => {
    const page = await open()
    const [shapes, error, tensor, fn, unknown, after] = await page.evaluate(async () => {
      const engine = tests.start(1)
      const failures = [
        await tests.failure(engine.run('shapes')),
        await tests.failure(engine.run('error')),
        await tests.failure(engine.run('givesTensor')),
        await tests.failure(engine.run('givesFunction')),
        await tests.failure(engine.run('toString' as 'shapes')),
        JSON.stringify(await engine.run('threads')),
      ]
      engine.close()
      return failures
    })
    expect(shapes).toMatch(/^ShapeError: add: /)
    expect(error).toBe('TypeError: no good, because ShapeError: the cause')
    expect(tensor).toMatch(/^ArgumentError: serve: job givesTensor .* got a tensor/)
    expect(fn).toMatch(/could not be cloned/)
    expect(unknown).toMatch(/^ArgumentError: run: name expects one of .*, got toString$/)
    expect(after).toMatch(/"threads":1/)
    await page.close()
  })

  it('stops jobs that are given up, and goes on with the next', async () => {
    const page = await open()
    const results = await page.evaluate(async () => {
      const engine = tests.start(1)
      const [stop, stopWaiting] = [new AbortController(), new AbortController()]
      const seen: number[] = []
      const first = tests.failure(engine.run('counts', {}, { signal: stop.signal, onProgress: (n) => seen.push(n) }))
      const waiting = tests.failure(engine.run('counts', { instead: 'begun' }, { signal: stopWaiting.signal }))
      const last = engine.run('threads')
      await new Promise<void>((enough) => {
        const look = setInterval(() => {
          if (seen.length < 4) return
          clearInterval(look)
          enough()
        }, 2)
      })
      stopWaiting.abort()
      await new Promise((later) => setTimeout(later, 20))
      stop.abort(new RangeError('enough'))
      const results = [await first, await waiting, JSON.stringify(await last)]
      const late = await tests.failure(engine.run('counts', {}, { signal: AbortSignal.timeout(50) }))
      engine.close()
      return { results, late, inOrder: seen.every((n, i) => n === i) }
    })
    expect(results.results[0]).toBe('RangeError: enough')
    expect(results.results[1]).toMatch(/^DOMException: .*aborted/)
    expect(results.results[2]).toMatch(/"threads":1/)
    expect(results.late).toMatch(/^DOMException: .*timed out/)
    expect(results.inOrder).toBe(true)
    await page.close()
  })

  it('rejects everything when it is closed, ends itself, or fails to start', async () => {
    const page = await open()
    const failures = await page.evaluate(async () => {
      const closed = tests.start(2)
      await closed.info()
      const running = [tests.failure(closed.run('threadThat', 'hangs')), tests.failure(closed.run('threads'))]
      setTimeout(() => closed.close(), 50)
      const gone = tests.start(2)
      const ending = [tests.failure(gone.run('closesItself')), tests.failure(gone.run('threads'))]
      const broken = tests.startBroken()
      return {
        closed: [...(await Promise.all(running)), await tests.failure(closed.run('threads'))],
        gone: [...(await Promise.all(ending)), await tests.failure(gone.info())],
        broken: [await tests.failure(broken.info()), await tests.failure(broken.run('threads'))],
      }
    })
    expect(failures.closed).toEqual(Array(3).fill('BackendError: connect: the engine was closed'))
    expect(failures.gone.slice(0, 2)).toEqual(Array(2).fill('BackendError: connect: the worker is gone'))
    for (const failure of failures.broken) {
      expect(failure).toMatch(/^BackendError: connect: the worker failed: .*the module fails/)
    }
    await page.close()
  })

  it.each(['traps', 'hangs'] as const)(
    'a thread that %s ends in a BackendError, and a new one helps on',
    async (fault) => {
      const page = await open()
      const { failure, before, after, helped } = await page.evaluate(async (fault) => {
        const engine = tests.start(2)
        const before = await engine.run('train', { steps: 2, backend: 'wasm' })
        const failure = await tests.failure(engine.run('threadThat', fault))
        const after = await engine.run('train', { steps: 2, backend: 'wasm' })
        const helped = await engine.run('help')
        engine.close()
        return { before, failure, after, helped }
      }, fault)
      expect(failure).toMatch(/^BackendError: wasm: (kernel .* failed|a thread died)/)
      expect(after).toEqual(before)
      expect(helped).toBe(true)
      await page.close()
    },
  )
}
