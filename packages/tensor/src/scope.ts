/**
 * Lifetimes. Backend memory is not garbage-collected, so tensors made inside `tidy` are freed when it ends, except
 * those it returns. What no scope holds is freed by `dispose`, by `using`, or at last by a finalizer.
 */
import { ArgumentError } from './errors.ts'
import { checkSynchronous } from './synchronous.ts'

/** Something with memory to free: a tensor, or what the tape saved of one. */
interface Disposable {
  dispose(): void
}

/** What `tidy` asks of the values it finds in a result. */
export interface ScopeMember extends Disposable {
  /** Kept by `keep`: belongs to no scope. */
  readonly kept: boolean
  /** From here on no scope is responsible: garbage collection has to be. */
  outlive(): void
  /** Other members that must live as long as this one (what its gradient needs). */
  holds(visit: (member: ScopeMember) => void): void
}

interface Scope {
  readonly members: Set<ScopeMember>
  /** Whether it is the inside of one op; see `local`. */
  readonly local: boolean
}

const scopes: Scope[] = []

/** Makes the innermost scope responsible for `member`. */
export function enter(member: ScopeMember): void {
  const scope = scopes[scopes.length - 1]
  if (scope === undefined) member.outlive()
  else scope.members.add(member)
}

/** Takes `member` out of every scope that is responsible for it. */
export function leave(member: ScopeMember): void {
  for (let i = scopes.length - 1; i >= 0; i--) {
    if (scopes[i]?.members.delete(member)) return
  }
}

/** Hands `member` from the insides of ops to the scope around them: what a gradient has saved outlives its op. */
export function lift(member: ScopeMember): void {
  if (scopes[scopes.length - 1]?.local !== true) return
  leave(member)
  const scope = scopes.findLast(({ local }) => !local)
  if (scope === undefined) member.outlive()
  else scope.members.add(member)
}

function isMember(value: object): value is ScopeMember {
  return 'holds' in value && typeof value.holds === 'function'
}

function collect(value: unknown, found: Set<ScopeMember>, seen: Set<object>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  if (isMember(value)) {
    collectMember(value, found)
  } else if (value instanceof Map || value instanceof Set || Array.isArray(value)) {
    for (const item of value.values()) collect(item, found, seen)
    if (value instanceof Map) for (const key of value.keys()) collect(key, found, seen)
  } else if (!ArrayBuffer.isView(value)) {
    for (const item of Object.values(value)) collect(item, found, seen)
  }
}

function collectMember(member: ScopeMember, found: Set<ScopeMember>): void {
  const open = [member]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue
    found.add(next)
    next.holds((held) => open.push(held))
  }
}

/**
 * Runs `fn` and frees every tensor made inside, except those reachable from its result (in arrays, plain objects,
 * Maps, Sets and instances) and what their gradients need. When `fn` throws, everything made inside is freed.
 *
 * `fn` must be synchronous: a promise as the result is an `ArgumentError`, since its tensors would be freed under it.
 */
export function tidy<T>(fn: () => T): T {
  checkSynchronous('tidy', fn)
  return inScope(false, fn, (result) => {
    if (result instanceof Promise) {
      result.catch(() => undefined)
      throw new ArgumentError('tidy: fn expects a synchronous function, got one that returns a promise')
    }
    const kept: Set<ScopeMember> = new Set()
    collect(result, kept, new Set())
    return kept
  })
}

/**
 * The inside of an op that is made of ops: frees all handles made by `fn` but those in its result, which is a tensor, an
 * array or a record of them. Unlike `tidy` it needs no walk through the graph, since what gradients have saved is not
 * its own (see `lift`), so that it costs next to nothing.
 */
export function local<T>(fn: () => T): T {
  return inScope(true, fn, (result) =>
    typeof result !== 'object' || result === null ? [] : isMember(result) ? [result] : Object.values(result),
  )
}

/** Runs `fn` and frees what it made; if it returns, except for the members that `keep` finds in its result. */
function inScope<T>(local: boolean, fn: () => T, keep: (result: T) => Iterable<unknown>): T {
  const members: Set<ScopeMember> = new Set()
  let kept: Iterable<unknown> = []
  scopes.push({ members, local })
  try {
    const result = fn()
    kept = keep(result)
    return result
  } finally {
    scopes.pop()
    for (const value of kept as Iterable<ScopeMember>) if (members.delete(value)) enter(value)
    for (const member of members) member.dispose()
  }
}
