/** The one walk through a module: fields in order, into arrays, plain records, Maps and modules. */
import { ArgumentError, Tensor } from '@convnets/tensor'
import { type Role, roleOf } from './parameter.ts'

/** What the walk needs to know of a module. */
export interface Walkable {
  fields(): Iterable<readonly [key: string, value: unknown]>
}

/** A tensor with a role, where it lies, and how to put another one there. */
export interface FoundTensor {
  readonly path: string
  readonly tensor: Tensor
  readonly role: Role
  replace(next: Tensor): void
}

export interface FoundModule<M> {
  readonly path: string
  readonly module: M
}

type Container = readonly unknown[] | ReadonlyMap<unknown, unknown> | Readonly<Record<string, unknown>>

export function isContainer(value: unknown): value is Container {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value) || value instanceof Map) return true
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function* entries(
  node: Container | Walkable,
  isModule: (value: unknown) => boolean,
): Iterable<readonly [string, unknown]> {
  if (isModule(node)) yield* (node as Walkable).fields()
  else if (node instanceof Map) for (const [key, value] of node) yield [String(key), value]
  else yield* Object.entries(node)
}

function put(node: object, key: string, next: Tensor): void {
  if (node instanceof Map) node.set(key, next)
  else Object.defineProperty(node, key, { value: next, writable: true, enumerable: true, configurable: true })
}

/** Visits, in PyTorch's order, a module, its own parameters, its own buffers, and then its children in field order. */
export function* walk<M extends Walkable>(
  root: M,
  isModule: (value: unknown) => value is M,
): Generator<FoundTensor | FoundModule<M>> {
  const above: Set<object> = new Set()
  function* visit(node: Container | M, path: string): Generator<FoundTensor | FoundModule<M>> {
    if (above.has(node)) throw new ArgumentError(`Module: field ${path} leads back to a module that it is part of`)
    above.add(node)
    if (isModule(node)) yield { path, module: node }
    const parameters: FoundTensor[] = []
    const buffers: FoundTensor[] = []
    const children: [path: string, child: Container | M][] = []
    for (const [key, value] of entries(node, isModule)) {
      const at = path === '' ? key : `${path}.${key}`
      if (value instanceof Tensor) {
        const role = roleOf(value)
        if (role === undefined) continue
        const list = role === 'parameter' ? parameters : buffers
        list.push({ path: at, tensor: value, role, replace: (next) => put(node, key, next) })
      } else if (isModule(value) || isContainer(value)) children.push([at, value])
    }
    yield* parameters
    yield* buffers
    for (const [at, child] of children) yield* visit(child, at)
    above.delete(node)
  }
  yield* visit(root, '')
}

/** The modules right below a module, by path: in its fields or in containers there, not inside of other modules. */
export function children<M extends Walkable>(root: M, isModule: (value: unknown) => value is M): Map<string, M> {
  const found: Map<string, M> = new Map()
  const open = (node: Container | M, path: string, above: readonly object[]): void => {
    if (above.includes(node)) return
    for (const [key, value] of entries(node, isModule)) {
      const at = path === '' ? key : `${path}.${key}`
      if (isModule(value)) found.set(at, value)
      else if (isContainer(value)) open(value, at, [...above, node])
    }
  }
  open(root, '', [])
  return found
}
