#!/usr/bin/env node
// The program: what the process has to do with it stands here, everything else in run.ts.
import { exitCodes } from './failure.ts'
import { run } from './run.ts'
import { stopSignal } from './signals.ts'

// `convnets models | head` closes the pipe before everything is written; that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(exitCodes.ok)
  throw error
})

process.exitCode = await run(process.argv.slice(2), { signal: stopSignal(process) })
