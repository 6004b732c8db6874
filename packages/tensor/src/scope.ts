/**
 * Lifetimes. Backend memory is not garbage-collected, so tensors made inside `tidy` are freed when it ends, except
 * those it returns. What no scope holds is freed by `dispose`, by `using`, or at last by a finalizer.
 */
import { ArgumentError } from './errors.ts'

/** Something with memory to free: a tensor, or what the tape saved of one. */
export interface Disposable {
  dispose(): void
}

/** What `tidy` asks of the values it finds in a result. */
export interface ScopeMember extends Disposable {
  /** Kept by `keep`: belongs to no scope. */
  readonly kept: boolean
  /** Other members that must live as long as this one (what its gradient needs). */
  holds(visit: (member: ScopeMember) => void): void
}

const scopes: Set<ScopeMember>[] = []

/** Makes the innermost scope responsible for `member`. */
export function enter(member: ScopeMember): void {
  scopes[scopes.length - 1]?.add(member)
}

/** Takes `member` out of every scope that is responsible for it. */
export function leave(member: ScopeMember): void {
  for (let i = scopes.length - 1; i >= 0; i--) {
    if (scopes[i]?.delete(member)) return
  }
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
  const scope: Set<ScopeMember> = new Set()
  scopes.push(scope)
  const kept: Set<ScopeMember> = new Set()
  try {
    const result = fn()
    if (result instanceof Promise) {
      result.catch(() => undefined)
      throw new ArgumentError('tidy: fn expects a synchronous function, got one that returns a promise')
    }
    collect(result, kept, new Set())
    return result
  } finally {
    scopes.pop()
    const outer = scopes[scopes.length - 1]
    for (const member of scope) {
      if (kept.has(member)) outer?.add(member)
      else member.dispose()
    }
  }
}
