/** The `convnets` command as a function. */
export type { Stream } from './context.ts'
export { type RunOptions, run } from './run.ts'
