/** What a network costs, before it is run; and where the time goes when it runs. */
export { type Bubble, type BubbleChartOptions, bubbleChart, bubblesOf, type ModelRow } from './bubbles.ts'
export type { ChromeEvent, ChromeTrace } from './chrome.ts'
export { type Convention, type Cost, costOf } from './cost.ts'
export { type DiagramOptions, diagram } from './diagram.ts'
export {
  type BudgetOptions,
  inferenceMemory,
  type MemoryOptions,
  maxBatch,
  type TrainingMemory,
  type TrainingOptions,
  trainingMemory,
} from './memory.ts'
export {
  type AnyOptimizer,
  type OptimizerChoice,
  type OptimizerName,
  optimizerNames,
  optimizerOf,
} from './optimizers.ts'
export { measurePeak, type Peak, type PeakOptions } from './peak.ts'
export { Profile, type ProfileFacts, type ProfileOptions, profile } from './profile.ts'
export { type ReportOptions, report } from './report.ts'
export type { TableColumn, TableOptions } from './table.ts'
export type { TimeTableOptions } from './time-table.ts'
export type { ModuleTiming, OpTiming, Phase, TimeRow } from './timing.ts'
export { Trace, type TraceOptions, trace } from './trace.ts'
export type { ProfileNode } from './tree.ts'
export { withoutNumbers } from './without-numbers.ts'
