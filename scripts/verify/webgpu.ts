/**
 * WebGPU in Node for tests, `verify` and benchmarks: Dawn, on the adapter that Vulkan finds, or on the software one
 * (SwiftShader) that Debian's package `chromium` brings together with a Vulkan loader.
 */
import { existsSync, readdirSync } from 'node:fs'
import { constants } from 'node:os'

const chromium = '/usr/lib/chromium'
const software = `${chromium}/vk_swiftshader_icd.json`

/** Whether a software adapter is installed. */
export const softwareAdapter: boolean = existsSync(software)

/** Whether the machine has a Vulkan driver of its own. */
const ownDriver = (): boolean =>
  ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d'].some((path) => existsSync(path) && readdirSync(path).length > 0)

/** RTLD_NODELETE, which Node does not name: the library stays although it is no addon. */
const keep = 0x1000

/** Loads Chromium's Vulkan loader, under whose name Dawn looks for one; the system's own serves where this fails. */
function loadVulkan(): void {
  try {
    process.dlopen({ exports: {} }, `${chromium}/libvulkan.so.1`, constants.dlopen.RTLD_NOW | keep)
  } catch {
    // Node complains about every library that is no addon; whether Vulkan is there, the adapter tells.
  }
}

/** One for the whole process and as long as it lives: a second one of Dawn 0.6 can end it by a C++ exception. */
let dawn: object | undefined

/**
 * An object for `gpu({ webgpu })`. `software` takes the software adapter whatever else there is. Default: the adapter of
 * the driver that `VK_ICD_FILENAMES` names, else of one that the machine has, else the software one if it is installed.
 */
export async function nodeWebGPU(options: { software?: boolean } = {}): Promise<object> {
  const { env } = process
  if (options.software || (env.VK_ICD_FILENAMES === undefined && softwareAdapter && !ownDriver()))
    env.VK_ICD_FILENAMES = software
  if (env.VK_ICD_FILENAMES === software) loadVulkan()
  const { create } = await import('webgpu')
  dawn ??= create([]) as object
  return dawn
}
