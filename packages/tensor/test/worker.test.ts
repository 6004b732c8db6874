import { describe, expect, it, onTestFinished } from 'vitest'
import { ArgumentError, BackendError, FormatError, getThreads, ShapeError, setThreads, zeros } from '../src/index.ts'
import {
  connect,
  type JobContext,
  packError,
  serve,
  startThreads,
  threadInfo,
  turn,
  unpackError,
} from '../src/worker.ts'

const jobs = {
  double: (n: number) => 2 * n,
  async squares(n: number, { progress }: JobContext<number>) {
    for (let i = 0; i < n; i++) await progress(i * i)
    return 'done' as const
  },
  fails() {
    throw new ShapeError('of no use')
  },
  gives: () => new Map([['x', [zeros([1])]]]),
  async nested(_: undefined, { progress }: JobContext<unknown>) {
    await progress({ weights: [zeros([1])] })
  },
  async forever(_: undefined, { progress }: JobContext<number>) {
    for (let i = 0; ; i++) await progress(i)
  },
}

/** Both ends of a line in this thread. */
function line() {
  const { port1, port2 } = new MessageChannel()
  onTestFinished(() => {
    port1.close()
    port2.close()
  })
  return { page: port1, worker: port2 }
}

function engine() {
  const { page, worker } = line()
  serve(jobs, worker)
  return connect<typeof jobs>(page)
}

describe('connect and serve', () => {
  it('call jobs in order, with what they report and give', async () => {
    const { run, info } = engine()
    expect(await info()).toEqual(threadInfo())
    const seen: (number | string)[] = []
    const squares = run('squares', 4, { onProgress: (n) => seen.push(n) })
    const double = run('double', 21).then((n) => seen.push(`double ${n}`))
    expect(await squares).toBe('done')
    await double
    expect(seen).toEqual([0, 1, 4, 9, 'double 42'])
  })

  it('works in whichever order the two ends come', async () => {
    const { page, worker } = line()
    const { run } = connect<typeof jobs>(page)
    const early = run('double', 4)
    await turn()
    serve(jobs, worker)
    expect(await early).toBe(8)
    const other = line()
    serve(jobs, other.worker)
    await turn()
    expect(await connect<typeof jobs>(other.page).run('double', 5)).toBe(10)
  })

  it('leave other messages alone', async () => {
    const { page, worker } = line()
    const heard: unknown[] = []
    worker.addEventListener('message', (event) => heard.push((event as MessageEvent).data))
    serve(jobs, worker)
    const { run } = connect<typeof jobs>(page)
    for (const message of [null, 'run', { kind: 'run', id: 0, name: 'double', input: 1 }]) page.postMessage(message)
    expect(await run('double', 1)).toBe(2)
    expect(heard).toContain('run')
  })

  it('tell of errors by their classes, and refuse tensors', async () => {
    const { run } = engine()
    await expect(run('fails')).rejects.toThrow(new ShapeError('of no use'))
    await expect(run('fails')).rejects.toBeInstanceOf(ShapeError)
    await expect(run('nested')).rejects.toThrow('serve: job nested expects values that can be copied, got a tensor')
    await expect(run('gives')).rejects.toThrow('serve: job gives expects values that can be copied, got a tensor')
    await expect(run('constructor' as 'fails')).rejects.toThrow(
      new ArgumentError('run: name expects one of double, squares, fails, gives, nested, forever, got constructor'),
    )
    expect(await run('double', 2)).toBe(4)
  })

  it('stop a job by its signal, and one that waits before it starts', async () => {
    const { run } = engine()
    const stop = new AbortController()
    const reason = new RangeError('enough')
    let last = -1
    const running = run('forever', undefined, {
      signal: stop.signal,
      onProgress(n) {
        last = n
        if (n === 3) stop.abort(reason)
      },
    })
    const waiting = run('forever', undefined, { signal: stop.signal })
    await expect(running).rejects.toBe(reason)
    await expect(waiting).rejects.toBe(reason)
    expect(last).toBeGreaterThanOrEqual(3)
    await expect(run('double', 1, { signal: stop.signal })).rejects.toBe(reason)
    expect(await run('double', 3)).toBe(6)
  })

  it('reject what runs, waits and comes when the engine is closed', async () => {
    const { run, info, close } = engine()
    let calls = 0
    const running = run('forever', undefined, { onProgress: () => calls++ < 1 || close() })
    const waiting = run('double', 1)
    const error = new BackendError('connect: the engine was closed')
    await expect(running).rejects.toThrow(error)
    await expect(waiting).rejects.toThrow(error)
    await expect(run('double', 1)).rejects.toThrow(error)
    expect(await info()).toEqual(threadInfo())
    close()
  })

  it('reject everything for a worker that cannot have what was asked', async () => {
    const { page, worker } = line()
    serve(jobs, worker)
    const { run, info } = connect<typeof jobs>(page, { threads: 1.5 })
    await expect(info()).rejects.toThrow(/^connect: the worker cannot run: setThreads: threads expects an integer/)
    await expect(run('double', 1)).rejects.toBeInstanceOf(BackendError)
  })

  it('need a port outside of workers of browsers', () => {
    expect(() => serve(jobs)).toThrow(/^serve: port expects a MessagePort where it is not called in a worker/)
  })
})

describe('startThreads', () => {
  it('brings the threads up ahead of work, and says what there is', async () => {
    const before = getThreads()
    onTestFinished(() => setThreads(before))
    expect(await startThreads({ threads: 3 })).toMatchObject({ threads: 3, reason: undefined })
    expect(threadInfo().threads).toBe(3)
    expect(await startThreads({ threads: 1 })).toMatchObject({ threads: 1, reason: expect.stringMatching(/one/i) })
    await expect(startThreads({ threads: 0 })).rejects.toBeInstanceOf(ArgumentError)
  })
})

describe('packError', () => {
  it('keeps class, message, fields and causes through structured cloning', () => {
    const file = new FormatError({
      file: 'x.idx',
      offset: 4,
      expected: 'bytes',
      got: 'none',
      cause: new TypeError('y'),
    })
    const back = unpackError(structuredClone(packError(file)))
    expect(back).toBeInstanceOf(FormatError)
    expect(back).toMatchObject({ message: file.message, file: 'x.idx', offset: 4, stack: file.stack })
    expect(back.cause).toBeInstanceOf(TypeError)
    const own = Object.assign(new (class extends Error {})('gone'), { name: 'constructor', code: 'ENOENT' })
    expect(unpackError(packError(own))).toMatchObject({ name: 'constructor', message: 'gone', code: 'ENOENT' })
    expect(unpackError(packError('text')).message).toBe('text')
  })
})
