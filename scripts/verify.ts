/**
 * `pnpm -s verify FOLDER`: compares what the packages compute with reference values of PyTorch, for any folder of the
 * format of `fixtures/goldens`. What cannot be computed counts as failed.
 */
import { runVerify } from './verify/command.ts'

process.exitCode = await runVerify(process.argv.slice(2), {
  out: (line) => void process.stdout.write(`${line}\n`),
  error: (line) => void process.stderr.write(`${line}\n`),
})
