/** Threads in a browser: the engine in a worker, jobs for it from the page, and what stands in the way of threads. */
export { type ConnectOptions, connect, type RunOptions, type WorkerEngine } from './worker/connect.ts'
export { type PackedError, packError, unpackError } from './worker/errors.ts'
export type { Job, JobContext, Jobs } from './worker/messages.ts'
export { serve } from './worker/serve.ts'
export { type StartOptions, startThreads, type ThreadInfo, threadInfo } from './worker/threads.ts'
export { turn } from './worker/turn.ts'
