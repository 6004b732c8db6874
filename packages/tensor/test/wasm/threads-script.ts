/** Uses two threads and then has nothing more to do: the process must end although its workers sleep. */
import { f32x4, i32, v128 } from '../../src/backends/wasm/asm.ts'
import { Engine } from '../../src/backends/wasm/engine.ts'

const engine = new Engine({ threads: 2 })
const kernel = engine.kernel('square', (m) =>
  m.func('run', ['i32', 'i32', 'i32'], (b, x, from, to) => {
    b.for(b.let(i32.mul(from, 16)), i32.mul(to, 16), 16, (p) => {
      const at = b.let(i32.add(x, p))
      const value = b.let(v128.load(at))
      b.emit(v128.store(at, f32x4.mul(value, value)))
    })
  }),
)
let onThisThread = 0
let calls = 0
const watched = {
  ...kernel,
  run: (...args: number[]) => {
    onThisThread += (args[2] as number) - (args[1] as number)
    return kernel.run(...args)
  },
}
const units = 1 << 18
const x = engine.alloc('float32', units * 4)
engine.array(x).fill(-1)
const start = performance.now()
while (onThisThread === calls * units && performance.now() - start < 10_000) {
  engine.parallel(watched, [x.ptr], units, 1 << 14)
  calls++
}
const exact = engine.array(x).every((value) => value === 1)
process.stdout.write(JSON.stringify({ threads: engine.pool.threads, helped: onThisThread < calls * units, exact }))
