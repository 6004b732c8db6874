/** Layouts of state dicts that other projects give to networks that this project has, too. */

/** How another project names the tensors of a network. */
export interface Layout {
  readonly name: string
  /** Whether a file's keys may be of this layout. */
  matches(keys: ReadonlySet<string>): boolean
  /** The key that torchvision's layout, or Cadene's where torchvision has no such network, has for the same tensor. */
  rename(key: string): string | undefined
  /** Keys (renamed) whose tensors hold the same numbers in another shape. */
  readonly flattens?: RegExp
  /** Keys (renamed) of classifiers that may have a class for the background in front of the others. */
  readonly background?: RegExp
}

export const layouts: readonly Layout[] = []
