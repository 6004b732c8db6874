// `npm start`: trains ResNet-20 on the embedded images, then classifies ten test pictures with what it learned.
// Words after `npm start --` go to `convnets train`.
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { install, requireNode } from './install.mjs'
import { passSignalsOn } from './run.mjs'
import { root } from './workspace.mjs'

const words = process.argv.slice(2)

/** Where training writes: `runs/first`, unless the words say otherwise. */
function outputFolder() {
  const last = words.findLastIndex((word) => word === '--out' || word.startsWith('--out='))
  if (last < 0) return join('runs', 'first')
  return words[last] === '--out' ? (words[last + 1] ?? '') : words[last].slice('--out='.length)
}

/** Runs the command line from source and ends this process with its exit code if it fails. */
function convnets(...args) {
  console.log(`\n$ convnets ${args.join(' ')}`)
  const main = join('packages', 'cli', 'src', 'main.ts')
  return new Promise((done) => {
    const child = spawn(process.execPath, ['--import', 'tsx', main, ...args], { cwd: root, stdio: 'inherit' })
    process.on('SIGTERM', () => child.kill('SIGTERM'))
    child.on('error', (error) => {
      console.error(error.message)
      process.exit(1)
    })
    child.on('close', (code, signal) => {
      if (code === 0) return done()
      if (code === 130 || code === 143) {
        const again = ['--resume', ...words.filter((word) => word !== '--resume')]
        console.error(`Here that is: npm start -- ${again.join(' ')}`)
      }
      process.exit(code ?? (signal === 'SIGINT' ? 130 : 1))
    })
  })
}

requireNode()
const stopPassing = passSignalsOn()
await install().catch((error) => {
  console.error(error.message)
  process.exit(1)
})
stopPassing()
// The terminal sends Ctrl-C to the whole group: training saves its checkpoint, and this process waits for that.
process.on('SIGINT', () => {})
const out = outputFolder()
await convnets('train', '--out', out, ...words)
if (words.includes('--help') || words.includes('-h')) process.exit()
const images = resolve(root, out, 'images')
const pictures = readdirSync(images)
  .filter((name) => name.endsWith('.png'))
  .sort()
await convnets('classify', join(out, 'model.safetensors'), ...pictures.map((name) => join(out, 'images', name)))
