// Workers of the tests run on Node as it is, which may not read TypeScript; the tests themselves bring their own way.
import { workerData } from 'node:worker_threads'

if (workerData?.mark) (await import('tsx/esm/api')).register()
