// Workers of the tests run on Node as it is, which may not read TypeScript; where tsx runs the program, they see to it.
import { workerData } from 'node:worker_threads'

const hasTsx = process.execArgv.some((flag) => flag === 'tsx')
if (workerData?.mark && !hasTsx) (await import('tsx/esm/api')).register()
