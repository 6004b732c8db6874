/** Modules that hold modules. */
import { ArgumentError, type Tensor } from '@convnets/tensor'
import { isModule, type Layer, Module } from '../module.ts'
import { opOf } from './activation.ts'
import { BatchNorm2d } from './batch-norm.ts'
import { Conv2d } from './conv.ts'
import { convNormAct, normAct } from './conv-norm.ts'

/** A layer that is made when it is known how many channels come out of the one before. */
export type LayerFrom = (inChannels: number) => Layer

function channelsOf(layer: Layer, key: 'inChannels' | 'outChannels'): number | undefined {
  const value: unknown = (layer as unknown as Readonly<Record<string, unknown>>)[key]
  return typeof value === 'number' ? value : undefined
}

/** Channels of the first layer in the list that says so. */
function firstChannels(layers: readonly Layer[], key: 'inChannels' | 'outChannels'): number | undefined {
  for (const layer of layers) {
    const channels = channelsOf(layer, key)
    if (channels !== undefined) return channels
  }
  return undefined
}

/**
 * Layers one after another, under the keys 0, 1, 2, ... A function in place of a layer is called with the output
 * channels of the layers before it:
 *
 * ```ts
 * new Sequential(new Conv2d(3, 16, { kernel: 3 }), new ReLU(), (channels) => new BatchNorm2d(channels))
 * ```
 */
export class Sequential extends Module implements Iterable<Layer> {
  readonly #layers: Layer[] = []

  constructor(...layers: readonly (Layer | LayerFrom)[]) {
    super()
    for (const [i, item] of layers.entries()) {
      const layer = isModule(item) ? item : this.#make(item, i)
      if (!isModule(layer)) throw new ArgumentError(`Sequential: layer ${i} expects a module, got ${typeof layer}`)
      this.#layers.push(layer)
    }
  }

  #make(from: LayerFrom, i: number): Layer {
    if (typeof from !== 'function')
      throw new ArgumentError(`Sequential: layer ${i} expects a module, got ${typeof from}`)
    const channels = firstChannels(this.#layers.toReversed(), 'outChannels')
    if (channels === undefined) {
      throw new ArgumentError(
        `Sequential: layer ${i} asks for its input channels, but no layer before says outChannels`,
      )
    }
    return from(channels)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return this.#layers.map((layer, i) => [String(i), layer] as const)
  }

  get length(): number {
    return this.#layers.length
  }

  /** Layer `index`; negative numbers count from the end. */
  at(index: number): Layer | undefined {
    return this.#layers.at(index)
  }

  [Symbol.iterator](): Iterator<Layer> {
    return this.#layers[Symbol.iterator]()
  }

  /** Channels of the first layer that says so. @throws ArgumentError where none does. */
  get inChannels(): number {
    return known(firstChannels(this.#layers, 'inChannels'), 'inChannels')
  }

  /** Channels of the last layer that says so. @throws ArgumentError where none does. */
  get outChannels(): number {
    return known(firstChannels(this.#layers.toReversed(), 'outChannels'), 'outChannels')
  }

  forward(x: Tensor): Tensor {
    let y = x
    for (let i = 0; i < this.#layers.length; i++) {
      const [layer, next, act] = this.#layers.slice(i, i + 3) as [Layer, Layer?, Layer?]
      if (layer instanceof Conv2d && next instanceof BatchNorm2d) {
        const ends = opOf(act) !== undefined
        y = convNormAct(y, layer, next, ends ? act : undefined)
        i += ends ? 2 : 1
      } else if (opOf(next) !== undefined && (layer instanceof BatchNorm2d || layer instanceof Conv2d)) {
        y = layer instanceof Conv2d ? convNormAct(y, layer, undefined, next) : normAct(y, layer, next)
        i++
      } else y = layer.forward(y)
    }
    return y
  }
}

function known(channels: number | undefined, key: string): number {
  if (channels === undefined) throw new ArgumentError(`Sequential: ${key} expects a layer that says it, got none`)
  return channels
}

/** Modules in a list, under the keys 0, 1, 2, ...; what they compute is up to the module that holds the list. */
export class ModuleList<M extends Module = Layer> extends Module implements Iterable<M> {
  readonly #modules: M[] = []

  constructor(modules: Iterable<M> = []) {
    super()
    if (typeof modules?.[Symbol.iterator] !== 'function') {
      throw new ArgumentError(`ModuleList: modules expects a list of modules, got ${String(modules)}`)
    }
    for (const module of modules) this.push(module)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return this.#modules.map((module, i) => [String(i), module] as const)
  }

  push(module: M): this {
    if (!isModule(module))
      throw new ArgumentError(`ModuleList: item ${this.length} expects a module, got ${typeof module}`)
    this.#modules.push(module)
    return this
  }

  get length(): number {
    return this.#modules.length
  }

  /** Module `index`; negative numbers count from the end. */
  at(index: number): M | undefined {
    return this.#modules.at(index)
  }

  [Symbol.iterator](): Iterator<M> {
    return this.#modules[Symbol.iterator]()
  }

  /** Never computes. @throws ArgumentError */
  forward(): never {
    throw new ArgumentError('ModuleList: forward expects to be written by the module that holds the list')
  }
}

/** Modules by name, any name, in the order in which they were set. */
export class ModuleDict<M extends Module = Layer> extends Module implements Iterable<readonly [string, M]> {
  readonly #modules: Map<string, M> = new Map()

  constructor(modules: ReadonlyMap<string, M> | Readonly<Record<string, M>> = {}) {
    super()
    for (const [key, module] of modules instanceof Map ? modules : Object.entries(modules)) this.set(key, module)
  }

  override fields(): Iterable<readonly [string, unknown]> {
    return this.#modules
  }

  set(key: string, module: M): this {
    if (!isModule(module)) throw new ArgumentError(`ModuleDict: ${key} expects a module, got ${typeof module}`)
    if (key === '' || key.includes('.')) {
      throw new ArgumentError(`ModuleDict: key expects a name without dots, got '${key}'`)
    }
    this.#modules.set(key, module)
    return this
  }

  get(key: string): M | undefined {
    return this.#modules.get(key)
  }

  has(key: string): boolean {
    return this.#modules.has(key)
  }

  delete(key: string): boolean {
    return this.#modules.delete(key)
  }

  get size(): number {
    return this.#modules.size
  }

  keys(): IterableIterator<string> {
    return this.#modules.keys()
  }

  [Symbol.iterator](): Iterator<readonly [string, M]> {
    return this.#modules[Symbol.iterator]()
  }

  /** Never computes. @throws ArgumentError */
  forward(): never {
    throw new ArgumentError('ModuleDict: forward expects to be written by the module that holds the modules')
  }
}
