// Runs a program to its end, with a time limit that ends its children too.
import { spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { root, rootManifest } from './workspace.mjs'

const windows = process.platform === 'win32'
const running = new Set()

/** Set by the test runner: no program may run past this moment (milliseconds since the epoch). */
export const limits = { deadline: Number.POSITIVE_INFINITY }

function end(child, signal) {
  try {
    if (windows) child.kill(signal)
    else process.kill(-child.pid, signal)
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/**
 * Children lead process groups of their own, so what ends this process must end them too.
 * Returns a function that stops doing so.
 */
export function passSignalsOn() {
  const codes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }
  const onSignal = (signal) => {
    for (const child of running) end(child, signal)
    process.exit(codes[signal])
  }
  for (const signal of Object.keys(codes)) process.on(signal, onSignal)
  return () => {
    for (const signal of Object.keys(codes)) process.off(signal, onSignal)
  }
}

/**
 * Runs `command` and resolves to what it printed; rejects when it fails or takes longer than `minutes`.
 * Output goes to the terminal unless `quiet`, in which case it is part of the error.
 */
export function run(command, args, { cwd = root, env = {}, minutes = 10, quiet = false } = {}) {
  const time = Math.max(1, Math.min(minutes * 60_000, limits.deadline - Date.now()))
  const plain = process.stdout.isTTY && !quiet ? {} : { NO_COLOR: '1', FORCE_COLOR: undefined }
  const path = [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter)
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...plain, PATH: path, ...env },
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
      detached: !windows,
      shell: windows,
    })
    running.add(child)
    const chunks = []
    child.stdout?.on('data', (chunk) => chunks.push(chunk))
    child.stderr?.on('data', (chunk) => chunks.push(chunk))
    let late = false
    const timer = setTimeout(() => {
      late = true
      end(child, 'SIGKILL')
    }, time)
    const finish = (problem) => {
      clearTimeout(timer)
      running.delete(child)
      const output = Buffer.concat(chunks).toString()
      if (problem === undefined) resolve(output)
      else reject(new Error(`${command} ${args.join(' ')}: ${problem}${output ? `\n${output.trimEnd()}` : ''}`))
    }
    child.on('error', (error) => finish(error.message))
    child.on('close', (code, signal) => {
      if (late) finish(`stopped after ${Math.round(time / 1000)} s`)
      else if (code !== 0) finish(signal ? `ended by ${signal}` : `exit code ${code}`)
      else finish()
    })
  })
}

/** Runs the pnpm that `packageManager` names; npx fetches it, so that Node and npm are all one needs. */
export const pnpm = (args, options) => run('npx', ['-y', rootManifest.packageManager, ...args], options)

/** Runs a TypeScript file of the repository. */
export const tsx = (file, args, options) => run(process.execPath, ['--import', 'tsx', file, ...args], options)
