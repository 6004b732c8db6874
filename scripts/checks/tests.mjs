// All vitest tests; the result is the number of tests, not of files.
import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../run.mjs'
import { readJson, root } from '../workspace.mjs'

export async function check() {
  const file = join(root, 'node_modules', '.cache', 'vitest.json')
  rmSync(file, { force: true })
  const args = ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const problem = await run('vitest', args, { minutes: 35 }).then(
    () => undefined,
    (error) => error,
  )
  if (!existsSync(file)) throw problem ?? new Error('vitest wrote no report.')
  const { numPassedTests: passed, numFailedTests, numPendingTests, numTodoTests, testResults } = readJson(file)
  // A file that cannot even be loaded has no tests to fail.
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  ).length
  const skipped = numPendingTests + numTodoTests
  if (skipped > 0) console.log(`${skipped} tests were skipped.`)
  if (passed === 0) console.log('No test passed.')
  const failed = numFailedTests + broken
  // Errors outside tests (an unhandled rejection, say) fail the run without failing a test.
  return { passed, failed: failed === 0 && (problem || passed === 0) ? 1 : failed }
}
