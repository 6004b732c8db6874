// Programs that use workers and then do something else: `node --import tsx program.mjs WHAT`.
import { DataLoader } from '../../src/index.ts'
import { slow } from './pictures.mjs'

const loader = new DataLoader(slow, { batchSize: 2, workers: 2 })
const controller = new AbortController()
const walk = async (act, signal) => {
  for await (const _ of loader.epoch(0, { signal })) if (act?.() === 'leave') break
}

switch (process.argv[2]) {
  case 'whole':
    await walk()
    break
  case 'leave':
    await walk(() => 'leave')
    break
  case 'throw':
    await walk(() => {
      throw new Error('thrown')
    })
    break
  case 'exit':
    await walk(() => process.exit(7))
    break
  case 'abort':
    await walk(() => setTimeout(() => controller.abort(), 10), controller.signal).catch(() => {})
    break
  case 'forget':
    // A batch is asked for, and nobody waits for it.
    void loader.epoch(0)[Symbol.asyncIterator]().next()
    break
  case 'close':
    await walk(() => 'leave')
    await loader.close()
    break
}
process.stdout.write('done\n')
