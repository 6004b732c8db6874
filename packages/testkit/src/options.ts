import { ArgumentError } from '@convnets/tensor'

/** Options that nobody has, what is no options object, and what is to be said of each. */
const misuses: readonly (readonly [shown: string, options: unknown, expected: RegExp])[] = [
  ['{ axis: 1 }', { axis: 1 }, /^options expects one of .*, got axis/],
  ['1', 1, /^options expects an object, got 1$/],
  ['null', null, /^options expects an object, got null$/],
  ["['axis']", ['axis'], /^options expects an object, got \[axis\]$/],
]

/**
 * What is wrong with how a function refuses options: a sentence for each misuse (a name that does not exist, a number, null, a
 * list) that does not end in an `ArgumentError` which begins with `name`; none where all is right.
 *
 * @param call calls the function with these options, right in all else; it may give a promise.
 */
export async function optionFaults(name: string, call: (options: never) => unknown): Promise<string[]> {
  const faults: string[] = []
  for (const [shown, options, expected] of misuses) {
    const fault = (got: string) => faults.push(`${name}: expected ${expected} of options ${shown}, got ${got}`)
    try {
      await call(options as never)
      fault('no error')
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      const right = message.startsWith(`${name}: `) && expected.test(message.slice(name.length + 2))
      if (!(error instanceof ArgumentError) || !right) fault(String(error))
    }
  }
  return faults
}
