/** Checkpoints that PyTorch wrote, and what is in them. */
import { readFileSync } from 'node:fs'

const folder = new URL('../../../fixtures/weights/', import.meta.url)

export const readFixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(name, folder)))

export const fixturePath = (name: string): URL => new URL(name, folder)

/** `TinyNet` of the goldens' script, by key in the order of its state dict. */
export const tinyNet: readonly (readonly [key: string, shape: readonly number[]])[] = [
  ['conv1.weight', [8, 3, 3, 3]],
  ['bn1.weight', [8]],
  ['bn1.bias', [8]],
  ['bn1.running_mean', [8]],
  ['bn1.running_var', [8]],
  ['bn1.num_batches_tracked', []],
  ['conv2.weight', [8, 4, 3, 3]],
  ['bn2.weight', [8]],
  ['bn2.bias', [8]],
  ['bn2.running_mean', [8]],
  ['bn2.running_var', [8]],
  ['bn2.num_batches_tracked', []],
  ['fc.weight', [5, 8]],
  ['fc.bias', [5]],
]
