/** Knowing which module is at work: every `forward` inside a model, with what goes in and comes out. */
import type { Module } from '@convnets/nn'
import { Generator, seeded, Tensor, type Tensor as TensorType } from '@convnets/tensor'

/** What is called around every `forward`. */
export interface Visitor {
  enter?(path: string, module: Module, inputs: readonly unknown[]): void
  /** Not called where `forward` throws. */
  leave?(path: string, module: Module, output: unknown): void
  /** `forward` of the module has thrown; called once for each module on the way out, the innermost first. */
  fail?(path: string, module: Module, error: unknown): void
}

/** Runs `fn` with every `forward` of the modules in `model` reported, and leaves the modules as they were. */
export function visiting<T>(model: Module, visitor: Visitor, fn: () => T): T {
  const undo: (() => void)[] = []
  try {
    for (const [path, module] of model.namedModules()) {
      const own = Object.getOwnPropertyDescriptor(module, 'forward')
      const forward = module.forward as (...inputs: unknown[]) => unknown
      const value = (...inputs: unknown[]): unknown => {
        visitor.enter?.(path, module, inputs)
        let output: unknown
        try {
          output = forward.apply(module, inputs)
        } catch (error) {
          visitor.fail?.(path, module, error)
          throw error
        }
        visitor.leave?.(path, module, output)
        return output
      }
      Object.defineProperty(module, 'forward', { value, configurable: true, writable: true, enumerable: false })
      undo.push(() => {
        if (own === undefined) Reflect.deleteProperty(module, 'forward')
        else Object.defineProperty(module, 'forward', own)
      })
    }
    return fn()
  } finally {
    for (const back of undo.reverse()) back()
  }
}

/** Runs `fn` with all modules in training or evaluation mode; modes and generators are put back as they were. */
export function inMode<T>(model: Module, training: boolean, fn: () => T): T {
  const modules = [...model.namedModules().values()]
  const modes = modules.map((module) => module.training)
  const generators = modules.flatMap((module) =>
    [...module.fields()].flatMap(([, value]) => (value instanceof Generator ? [[value, value.state()] as const] : [])),
  )
  try {
    for (const module of modules) module.training = training
    return seeded(0, fn)
  } finally {
    modules.forEach((module, i) => {
      module.training = modes[i] as boolean
    })
    for (const [generator, state] of generators) generator.restore(state)
  }
}

/** All tensors in what a module takes or gives: itself, or in arrays, Maps and plain records. */
export function tensorsIn(value: unknown): TensorType[] {
  if (value instanceof Tensor) return [value]
  if (typeof value !== 'object' || value === null) return []
  const items = Array.isArray(value) || value instanceof Map ? value.values() : Object.values(value)
  return [...items].flatMap(tensorsIn)
}

/** `layer1.0.conv1 (Conv2d)`, or `the model (ResNet)`. */
export function nameOf(path: string, module: Module): string {
  return `${path === '' ? 'the model' : path} (${module.constructor.name})`
}
