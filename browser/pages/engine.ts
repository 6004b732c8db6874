/** All jobs in a worker. */
import { serve } from '@convnets/tensor/worker'
import { faults } from './faults.ts'
import { jobs } from './jobs.ts'
import { losing } from './lost.ts'
import { pictures } from './pictures.ts'

export const served: typeof jobs & typeof faults & typeof losing & typeof pictures = serve({
  ...jobs,
  ...faults,
  ...losing,
  ...pictures,
})
