/** Fields whose checkpoint key is taken: `features` is what a network can do, and in checkpoints what it has. */

/** Fields of a module by key, with `body` under the key `features`. */
export function withFeatures(module: object): (readonly [key: string, value: unknown])[] {
  return Object.entries(module).map(([key, value]) => [key === 'body' ? 'features' : key, value] as const)
}
