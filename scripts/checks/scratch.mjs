// Programs that run where a user's would: in a folder of their own, from which every package resolves.
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../workspace.mjs'

/** Calls `use(folder)` with an empty folder inside examples/, which is removed afterwards. */
export async function withScratch(name, use) {
  const folder = join(root, 'examples', '.scratch', name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  try {
    return await use(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
