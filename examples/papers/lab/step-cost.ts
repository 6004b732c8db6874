/** What a step of training costs. */
import { crossEntropy, type Layer } from '@convnets/nn'
import { SGD } from '@convnets/optim'
import { memory, resetPeakMemory, type Tensor, tidy } from '@convnets/tensor'

export interface StepCost {
  /** Peak of all tensors above what was alive before the step, in megabytes (10^6 bytes). */
  readonly megabytes: number
  /** CPU time of all threads, the median of the steps. */
  readonly seconds: number
}

/** Steps of several networks on one batch, in turns, so that what else the machine does meets all of them. */
export function stepCosts(models: readonly Layer[], input: Tensor, target: Tensor, repeats: number): StepCost[] {
  const steps = models.map((model) => {
    const optimizer = new SGD(model.parameters(), { lr: 0.01, momentum: 0.9 })
    return (): StepCost => {
      resetPeakMemory()
      const { bytes } = memory()
      const start = process.cpuUsage()
      tidy(() => {
        optimizer.zeroGrad()
        crossEntropy(model.forward(input), target).backward()
        optimizer.step()
      })
      const { user, system } = process.cpuUsage(start)
      return { megabytes: (memory().peakBytes - bytes) / 1e6, seconds: (user + system) / 1e6 }
    }
  })
  // The first step makes gradients, the optimizer's state and compiled kernels, which stay.
  for (const step of steps) step()
  const rounds = Array.from({ length: repeats }, () => steps.map((step) => step()))
  return models.map((_, kind) => {
    const seconds = rounds.map((round) => round[kind]!.seconds).sort((a, b) => a - b)
    return { megabytes: rounds[0]![kind]!.megabytes, seconds: seconds[Math.floor(repeats / 2)]! }
  })
}
