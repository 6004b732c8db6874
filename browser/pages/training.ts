/**
 * The page that trains: a small network on Fashion-MNIST, its loss as a curve.
 *
 * `?backend=` chooses wasm, webgpu or webgl2 and `?in=` where the engine runs, `page` or `worker`.
 */
import { connect } from '@convnets/tensor/worker'
import { backendNamed, describeBackend } from './backends.ts'
import type { served } from './engine.ts'
import { type Learned, learn } from './learning.ts'

const STEPS = 20
const WIDTH = 640
const HEIGHT = 260
const MARGIN = 30
/** What guessing among ten classes costs, and some room. */
const MOST = 3

const query = new URLSearchParams(location.search)
const backend = query.get('backend') ?? 'wasm'
const inWorker = query.get('in') === 'worker'

function element(selector: string): Element {
  const found = document.querySelector(selector)
  if (found === null) throw new Error(`The page has no ${selector}.`)
  return found
}

const x = (step: number): number => MARGIN + (step / (STEPS - 1)) * (WIDTH - 2 * MARGIN)
const y = (loss: number): number => HEIGHT - MARGIN - (Math.min(loss, MOST) / MOST) * (HEIGHT - 2 * MARGIN)

function draw(losses: readonly number[]): void {
  const grid = Array.from({ length: MOST + 1 }, (_, loss) => {
    const at = y(loss)
    return `<line x1="${MARGIN}" x2="${WIDTH - MARGIN}" y1="${at}" y2="${at}"/><text x="8" y="${at + 4}">${loss}</text>`
  })
  const points = losses.map((loss, step) => `${x(step).toFixed(1)},${y(loss).toFixed(1)}`).join(' ')
  element('svg').innerHTML = `${grid.join('')}<polyline points="${points}"/>`
  element('#loss').textContent = `step ${losses.length} of ${STEPS}: loss ${losses.at(-1)?.toFixed(3)}`
}

async function train(): Promise<Learned> {
  const losses: number[] = []
  const onProgress = (loss: number): void => {
    losses.push(loss)
    draw(losses)
  }
  draw(losses)
  if (!inWorker) {
    element('#where').textContent = await describeBackend(backend)
    // The page is drawn between the steps.
    return learn(await backendNamed(backend), STEPS, async (loss) => {
      onProgress(loss)
      await new Promise(requestAnimationFrame)
    })
  }
  const engine = connect<typeof served>(new Worker(new URL('./engine.ts', import.meta.url), { type: 'module' }))
  try {
    element('#where').textContent = `in a worker: ${await engine.run('describe', backend)}`
    return await engine.run('learn', { backend, steps: STEPS }, { onProgress })
  } finally {
    engine.close()
  }
}

try {
  const learned = await train()
  const { losses, stepTime } = learned
  const [first, last] = [losses[0]?.toFixed(3), losses.at(-1)?.toFixed(3)]
  element('#loss').textContent =
    `loss ${first} at first, ${last} after ${STEPS} steps; ${stepTime.toFixed(0)} ms a step`
  Object.assign(document.body.dataset, { state: 'done', learned: JSON.stringify(learned) })
} catch (error) {
  element('#loss').textContent = String(error)
  document.body.dataset.state = 'failed'
}
