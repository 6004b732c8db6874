/**
 * The base of everything with parameters.
 *
 * A module is plain: its fields hold tensors (`parameter`, `buffer`), modules, and arrays, records or Maps of them. A
 * field's path is its checkpoint key, so fields are named as the reference checkpoint names them. What lies in `#private`
 * fields is not looked at.
 */
import {
  ArgumentError,
  type Backend,
  ConvnetsError,
  type DType,
  isDType,
  isFloat,
  noGrad,
  readOptions,
  type Shape,
  Tensor,
  tidy,
} from '@convnets/tensor'
import { succeed } from './parameter.ts'
import { children, type FoundModule, type FoundTensor, walk } from './walk.ts'

/** A key whose tensor has another shape than the module's. */
export interface Mismatch {
  readonly key: string
  readonly expected: Shape
  readonly got: Shape
}

/** How a state dict is loaded. */
export interface LoadOptions {
  /** Throws unless keys and shapes are the module's own; otherwise what fits is loaded and the rest reported. Default true. */
  readonly strict?: boolean
  /**
   * Takes the tensors of the dict in the place of the module's, which are freed, instead of copying their numbers: half the
   * memory and none of the time. Both share the numbers from then on, unless dtype or backend differ. Make the optimizer
   * afterwards. Default false, as in PyTorch.
   */
  readonly assign?: boolean
}

/** How a state dict fits a module. */
export interface LoadReport {
  /** Keys of the module that the dict lacks. `num_batches_tracked` is never missed: old checkpoints have none. */
  readonly missing: readonly string[]
  /** Keys of the dict that the module lacks. */
  readonly unexpected: readonly string[]
  readonly mismatched: readonly Mismatch[]
}

/** A state dict that does not fit under `strict`. The module is as it was. */
export class StateDictError extends ConvnetsError implements LoadReport {
  override name = 'StateDictError'
  readonly missing: readonly string[]
  readonly unexpected: readonly string[]
  readonly mismatched: readonly Mismatch[]

  /** @param problem what does not fit. Default: the keys. */
  constructor({ missing, unexpected, mismatched }: LoadReport, problem: string = 'the keys do not fit') {
    const show = (shape: Shape): string => `(${shape.join(', ')})`
    const some = (items: readonly string[], between = ', '): string =>
      items.length > 20 ? `${items.slice(0, 20).join(between)} and ${items.length - 20} more` : items.join(between)
    const parts = [
      missing.length > 0 ? `missing ${some(missing)}` : '',
      unexpected.length > 0 ? `unexpected ${some(unexpected)}` : '',
      some(
        mismatched.map(({ key, expected, got }) => `${key} expects ${show(expected)}, got ${show(got)}`),
        '; ',
      ),
    ]
    super(`loadStateDict: ${problem}, nothing was changed: ${parts.filter(Boolean).join('; ')}`)
    this.missing = missing
    this.unexpected = unexpected
    this.mismatched = mismatched
  }
}

/** What a forward hook gets as inputs and output: the types of the module's `forward`, or anything where it is unknown. */
type HookInputs<M extends Module> = Module extends M ? readonly unknown[] : Readonly<Parameters<M['forward']>>
type HookOutput<M extends Module> = Module extends M ? unknown : ReturnType<M['forward']>

/** Runs after `forward`. It watches: what it returns is ignored. */
export type ForwardHook<M extends Module = Module> = (module: M, inputs: HookInputs<M>, output: HookOutput<M>) => void

type AnyHook = (module: Module, inputs: readonly unknown[], output: unknown) => void

/** A module from one tensor to one tensor, as most are. */
export interface Layer extends Module {
  forward(x: Tensor): Tensor
}

/** Base class of layers, blocks and models. Subclasses have fields and a `forward`. */
export abstract class Module {
  /** Whether the module trains (default) or infers; set by `train()` and `eval()`. */
  training = true
  readonly #hooks: Set<{ readonly hook: AnyHook }> = new Set()

  /**
   * Computes the module. Written by subclasses, called by users: `y = module.forward(x)`. Forward hooks run at every
   * call, nested ones included; `super.forward(x)` is part of the same call.
   */
  abstract forward(...inputs: never[]): unknown

  /** What the walk looks at, by key: all public fields. Containers give their items instead. */
  fields(): Iterable<readonly [key: string, value: unknown]> {
    return Object.entries(this)
  }

  // --- what is inside ---

  #found(): (FoundTensor | FoundModule<Module>)[] {
    return [...walk<Module>(this, isModule)]
  }

  #tensors(): FoundTensor[] {
    return this.#found().filter((found) => 'tensor' in found)
  }

  /** This module under '' and all modules inside, by path. A module in two places is named by the first. */
  namedModules(): Map<string, Module> {
    const seen: Set<Module> = new Set()
    const modules: Map<string, Module> = new Map()
    for (const found of this.#found()) {
      if (!('module' in found) || seen.has(found.module)) continue
      seen.add(found.module)
      modules.set(found.path, found.module)
    }
    return modules
  }

  /** The modules right below this one, by path. */
  namedChildren(): Map<string, Module> {
    return children<Module>(this, isModule)
  }

  /** Parameters by path. A tensor in two places is named by the first. */
  namedParameters(): Map<string, Tensor> {
    return named(this.#tensors().filter(({ role }) => role === 'parameter'))
  }

  /** Parameters in order: what an optimizer takes. */
  parameters(): Tensor[] {
    return [...this.namedParameters().values()]
  }

  /** Buffers by path, those that are not persistent included. */
  namedBuffers(): Map<string, Tensor> {
    return named(this.#tensors().filter(({ role }) => role !== 'parameter'))
  }

  /** Numbers in all parameters. */
  parameterCount(): number {
    return this.parameters().reduce((count, { size }) => count + size, 0)
  }

  // --- state ---

  /**
   * Parameters and persistent buffers by checkpoint key, in PyTorch's order. The tensors are the module's own, not
   * copies; a tensor in two places stands under both keys.
   */
  stateDict(): Map<string, Tensor> {
    return new Map(
      this.#tensors()
        .filter(({ role }) => role !== 'transient')
        .map(({ path, tensor }) => [path, tensor]),
    )
  }

  /**
   * Copies a state dict into this module, converting dtypes and backends. The dict keeps its tensors.
   *
   * @throws StateDictError that names the keys (the first 20 of each kind) and holds all, before anything is changed.
   */
  loadStateDict(dict: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): LoadReport {
    const { strict, assign } = readOptions('loadStateDict', options, { strict: true, assign: false })
    if (!(dict instanceof Map)) {
      throw new ArgumentError(`loadStateDict: dict expects a Map of tensors by key, got ${describeValue(dict)}`)
    }
    const own = this.stateDict()
    const missing = [...own.keys()].filter((key) => !dict.has(key) && !/(^|\.)num_batches_tracked$/.test(key))
    const unexpected = [...dict.keys()].filter((key) => !own.has(key))
    const mismatched: Mismatch[] = []
    const pairs: [target: Tensor, source: Tensor][] = []
    for (const [key, target] of own) {
      const source: unknown = dict.get(key)
      if (source === undefined) continue
      if (!(source instanceof Tensor)) {
        throw new ArgumentError(`loadStateDict: ${key} expects a Tensor, got ${describeValue(source)}`)
      }
      // Asks for the storage, so that a tensor that was freed is an error here and not halfway through.
      void source.storage
      if (String(source.shape) === String(target.shape)) pairs.push([target, source])
      else mismatched.push({ key, expected: target.shape, got: source.shape })
    }
    const report = { missing, unexpected, mismatched }
    if (strict && missing.length + unexpected.length + mismatched.length > 0) {
      throw new StateDictError(report)
    }
    const like = (target: Tensor, source: Tensor): Tensor => source.detach().to(target.dtype).to(target.backend)
    noGrad(() => {
      if (assign) this.#replace(tidy(() => new Map(pairs.map(([target, source]) => [target, like(target, source)]))))
      else for (const [target, source] of pairs) tidy(() => void target.assign_(like(target, source)))
    })
    return report
  }

  // --- modes ---

  /** Puts this module and all inside into training mode (or, with `false`, evaluation mode). */
  train(mode = true): this {
    this.training = mode
    for (const child of this.namedChildren().values()) child.train(mode)
    return this
  }

  /** Puts this module and all inside into evaluation mode. */
  eval(): this {
    return this.train(false)
  }

  /** Turns the gradients of all parameters on or off. */
  requiresGrad_(value = true): this {
    for (const tensor of this.parameters()) tensor.requiresGrad = value
    return this
  }

  #set(op: string, prefixes: readonly string[], value: boolean): this {
    const parameters = this.namedParameters()
    const under = (prefix: string): Tensor[] =>
      [...parameters].flatMap(([key, tensor]) => (key === prefix || key.startsWith(`${prefix}.`) ? [tensor] : []))
    const chosen = prefixes.length === 0 ? [[...parameters.values()]] : prefixes.map(under)
    chosen.forEach((list, i) => {
      if (list.length > 0) return
      const known = [...new Set([...parameters.keys()].map((key) => key.split('.')[0]))].join(', ')
      throw new ArgumentError(
        `${op}: prefix expects the path of a parameter or module (${known}), got '${prefixes[i]}'`,
      )
    })
    for (const tensor of chosen.flat()) tensor.requiresGrad = value
    return this
  }

  /**
   * Turns off the gradients of the parameters under each path (`freeze('conv1', 'layer1')`), or of all. Optimizers skip
   * parameters without gradient. Running statistics go on in training mode, as in PyTorch.
   *
   * @throws ArgumentError for a path without parameters; nothing is changed then.
   */
  freeze(...prefixes: string[]): this {
    return this.#set('freeze', prefixes, false)
  }

  /** Takes `freeze` back. */
  unfreeze(...prefixes: string[]): this {
    return this.#set('unfreeze', prefixes, true)
  }

  /** Frees the gradients of all parameters. */
  zeroGrad(): void {
    for (const tensor of this.parameters()) tensor.grad = undefined
  }

  /** All parameters and buffers, each once: what `moveTo` of `@convnets/tensor` moves. */
  ownTensors(): Tensor[] {
    return [...new Set(this.#tensors().map(({ tensor }) => tensor))]
  }

  /**
   * Converts float parameters and buffers to a dtype, or moves all to a backend. The tensors are replaced and the former
   * ones freed, gradients too, so make the optimizer afterwards. From a GPU, and together with an optimizer, models move by
   * `await moveTo(backend, model, optimizer)` of `@convnets/tensor`.
   *
   * When it throws (memory that cannot be read at once, or too little of it) the module is as it was.
   */
  to(target: DType | Backend): this {
    if (isDType(target) && !isFloat(target)) {
      throw new ArgumentError(`Module.to: target expects float32, float64 or a backend, got ${target}`)
    }
    const moved: Map<Tensor, Tensor> = new Map()
    try {
      noGrad(() => {
        for (const { tensor } of this.#tensors()) {
          const stays = isDType(target) ? !isFloat(tensor.dtype) || tensor.dtype === target : tensor.backend === target
          if (!stays && !moved.has(tensor)) moved.set(tensor, tensor.to(target))
        }
      })
    } catch (error) {
      for (const next of moved.values()) next.dispose()
      throw error
    }
    this.#replace(moved)
    return this
  }

  /** Puts other tensors in the place of parameters and buffers, wherever they lie, and frees the former ones. */
  #replace(instead: ReadonlyMap<Tensor, Tensor>): void {
    const found = this.#tensors()
    for (const [former, next] of instead) succeed(former, next)
    for (const { tensor, replace } of found) {
      const next = instead.get(tensor)
      if (next !== undefined) replace(next)
    }
    for (const former of instead.keys()) former.dispose()
  }

  /** Frees all parameters and buffers. */
  dispose(): void {
    for (const { tensor } of this.#tensors()) tensor.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Runs `fn` on every module inside, children before their parents, and on this one. */
  apply(fn: (module: Module) => void): this {
    if (typeof fn !== 'function') throw new ArgumentError(`apply: fn expects a function, got ${typeof fn}`)
    for (const child of this.namedChildren().values()) child.apply(fn)
    fn(this)
    return this
  }

  // --- hooks ---

  /**
   * Runs `hook(module, inputs, output)` after every `forward` of this module, wherever it is called from. Inside
   * `checkpoint` it runs again with the recomputation (`isRecomputing()`).
   *
   * As long as there are hooks, `forward` of this one object is a function that calls the class's and then them. Modules
   * without hooks cost nothing, and classes stay untouched.
   *
   * @returns a function that removes the hook.
   */
  registerForwardHook(hook: ForwardHook<this>): () => void {
    if (typeof hook !== 'function') {
      throw new ArgumentError(`registerForwardHook: hook expects a function, got ${describeValue(hook)}`)
    }
    if (this.#hooks.size === 0) this.#hookForward()
    const entry = { hook: hook as unknown as AnyHook }
    this.#hooks.add(entry)
    return () => {
      if (this.#hooks.delete(entry) && this.#hooks.size === 0) this.#unhookForward()
    }
  }

  /** `forward` where it is a field of the object instead of a method of its class. */
  #ownForward: PropertyDescriptor | undefined

  #hookForward(): void {
    this.#ownForward = Object.getOwnPropertyDescriptor(this, 'forward')
    const forward = this.forward as (...inputs: unknown[]) => unknown
    const value = (...inputs: unknown[]): unknown => {
      const output = forward.apply(this, inputs)
      for (const { hook } of [...this.#hooks]) hook(this, inputs, output)
      return output
    }
    Object.defineProperty(this, 'forward', { value, configurable: true, writable: true, enumerable: false })
  }

  #unhookForward(): void {
    if (this.#ownForward === undefined) Reflect.deleteProperty(this, 'forward')
    else Object.defineProperty(this, 'forward', this.#ownForward)
  }

  // --- display ---

  /** The defining numbers of a layer, for `toString`. */
  describe(): string {
    return ''
  }

  /** The tree of modules, as PyTorch prints it. */
  toString(): string {
    const lines = [...this.namedChildren()].map(([key, child]) => `(${key}): ${child}`.replaceAll('\n', '\n  '))
    const name = this.constructor.name
    if (lines.length === 0) return `${name}(${this.describe()})`
    return [`${name}(${this.describe()}`, ...lines.map((line) => `  ${line}`), ')'].join('\n')
  }
}

/** Whether a value is a module. */
export function isModule(value: unknown): value is Module {
  return value instanceof Module
}

function named(found: readonly FoundTensor[]): Map<string, Tensor> {
  const seen: Set<Tensor> = new Set()
  const tensors: Map<string, Tensor> = new Map()
  for (const { path, tensor } of found) {
    if (seen.has(tensor)) continue
    seen.add(tensor)
    tensors.set(path, tensor)
  }
  return tensors
}

function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  return typeof value === 'object' ? `an object of class ${value.constructor?.name ?? 'null'}` : typeof value
}
