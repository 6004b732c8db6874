/** The command as users call it. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getPrecision, getThreads, setPrecision, setThreads } from '@convnets/tensor'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { runVerify } from '../../../scripts/verify/command.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const fixtures = join(root, 'fixtures', 'goldens')

let folder = ''
const settings = { precision: getPrecision(), threads: getThreads() }
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'verify-'))
})
afterEach(() => {
  setPrecision(settings.precision)
  setThreads(settings.threads)
})
afterAll(() => rmSync(folder, { recursive: true }))

/** The command with what it writes and its exit code. */
async function verify(...args: string[]) {
  const lines: string[] = []
  const errors: string[] = []
  const status = await runVerify(args, { out: (line) => lines.push(line), error: (line) => errors.push(line) })
  return { status, lines, stdout: lines.join('\n'), stderr: errors.join('\n') }
}

/** A folder of goldens: files by path, in JSON. */
function write(name: string, files: Record<string, unknown>): string {
  for (const [path, contents] of Object.entries(files)) {
    const file = join(folder, name, path)
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, typeof contents === 'string' ? contents : JSON.stringify(contents))
  }
  return join(folder, name)
}

const ops = JSON.parse(readFileSync(join(fixtures, 'ops.json'), 'utf8'))
const some = (...ids: string[]) => ({ ...ops, cases: ops.cases.filter(({ id }: { id: string }) => ids.includes(id)) })

describe('verify', () => {
  it('compares ops on both backends, one line per case, and tells the sum', async () => {
    const { status, lines } = await verify(write('plain', { 'deep/in/it/ops.json': some('matmul', 'relu') }))
    expect(lines).toHaveLength(5)
    expect(lines[0]).toMatch(/^ok {5}reference deep\/in\/it\/ops\.json matmul: output \d.*, da \d.*, db \d/)
    expect(lines[2]).toMatch(/^ok {5}wasm/)
    expect(lines[4]).toBe('4 passed, 0 failed')
    expect(status).toBe(0)
  })

  it('selects by case, by file and by whole name, and runs what was selected on one backend', async () => {
    const { status, lines } = await verify(
      fixtures,
      '--only',
      '^(softmax|sgd|schedule cosine)$',
      '--backend',
      'reference',
    )
    expect(lines).toHaveLength(4)
    expect(lines.at(-1)).toBe('3 passed, 0 failed')
    expect(status).toBe(0)
    const { lines: exact } = await verify(
      fixtures,
      '--only=^ops\\.json linear$',
      '--backend=wasm',
      '--precision=strict',
      '--threads=2',
    )
    expect(exact).toHaveLength(2)
  })

  it('fails for one wrong number, one op that is not known, and a file that is none', async () => {
    const cases = some('relu', 'exp', 'matmul').cases
    cases[0].output[3] += 1e-3
    cases[1].op = 'antigravity'
    const { status, lines } = await verify(
      write('wrong', { 'ops.json': { prefix: '', cases }, 'models/broken.json': '{' }),
      '--backend',
      'wasm',
    )
    expect(lines.at(-1)).toBe('1 passed, 3 failed')
    expect(lines[0]).toMatch(/^FAILED wasm {6}models\/broken\.json file: models\/broken\.json: expects JSON/)
    expect(lines.filter((line) => line.startsWith('FAILED'))).toHaveLength(3)
    expect(lines.join('\n')).toMatch(/> 2\.0e-6/)
    expect(lines.join('\n')).toMatch(/op antigravity is not one of/)
    expect(status).toBe(1)
  })

  it('counts what it cannot compute as failed: unknown models, transforms, checkpoints, the gpu', async () => {
    const resnet = JSON.parse(readFileSync(join(fixtures, 'models', 'resnet18.json'), 'utf8'))
    const unknown = write('unknown', {
      'models/net.json': { ...resnet, name: 'resnet19', training: undefined },
      'transforms.json': { salt: '', cases: [{ op: 'melt' }, { op: 'crop' }] },
      'weights/expected.json': [{ file: 'a.th' }],
    })
    const { status, lines } = await verify(unknown)
    expect(lines.at(-1)).toBe('0 passed, 7 failed')
    expect(lines.join('\n')).toMatch(/resnet19/)
    expect(lines.join('\n')).toMatch(/transforms\.json melt 0: there is no transform melt/)
    expect(lines.join('\n')).toMatch(/expected\.json a\.th tensors: ENOENT/)
    expect(status).toBe(1)
    vi.stubEnv('VK_ICD_FILENAMES', '/no/such/driver.json')
    const gpu = await verify(write('gpu', { 'ops.json': some('relu') }), '--backend', 'gpu')
    vi.unstubAllEnvs()
    expect(gpu.lines).toEqual([
      expect.stringMatching(/^gpu: mode webgpu does not run here: webgpu: navigator\.gpu has no adapter/),
      expect.stringMatching(/^FAILED gpu .* there is no gpu backend/),
      '0 passed, 1 failed',
    ])
    expect(gpu.status).toBe(1)
  })

  it('finds another state dict, other costs and other logits of a model', async () => {
    const resnet = JSON.parse(readFileSync(join(fixtures, 'models', 'resnet18.json'), 'utf8'))
    const { training: _, ...plain } = resnet
    const state = plain.state.map(([key, shape]: [string, number[]], i: number) => [i === 3 ? 'bn1.mean' : key, shape])
    const output = { ...plain.output, values: plain.output.values.map((v: number) => v + 0.5) }
    const path = write('resnet', { 'models/resnet18.json': { ...plain, state, output, macs: plain.macs + 1 } })
    const { lines, status } = await verify(path)
    expect(lines[0]).toMatch(/entry 3 of the state dict should be bn1\.mean \(64\), is bn1\.running_mean \(64\)/)
    expect(lines[1]).toMatch(/1814073345 MACs expected, got 1814073344/)
    expect(lines[2]).toMatch(/^FAILED .* logits .* > /)
    expect(lines[3]).toBe('0 passed, 3 failed')
    expect(status).toBe(1)
  })

  it.each([
    [[], /FOLDER is missing/],
    [['a', 'b'], /one FOLDER expected, got b too/],
    [['no/such/folder'], /no\/such\/folder is no folder/],
    [[fixtures, '--only', '('], /--only expects a regular expression/],
    [[fixtures, '--only', 'matches nothing'], /holds no case/],
    [[fixtures, '--backend', 'cuda'], /--backend expects wasm or reference or gpu, got cuda/],
    [[fixtures, '--precision', 'exact'], /--precision expects fast or strict, got exact/],
    [[fixtures, '--threads', '0'], /--threads expects a positive integer, got 0/],
    [[fixtures, '--frobnicate'], /Unknown option '--frobnicate'/],
  ])('refuses %j', async (args, message) => {
    const { status, stderr, stdout } = await verify(...args)
    expect(stderr).toMatch(message)
    expect(stderr).toMatch(/Usage: pnpm -s verify FOLDER/)
    expect([status, stdout]).toEqual([2, ''])
  })

  it('explains itself', async () => {
    const { status, stdout } = await verify('--help')
    expect(stdout).toMatch(/^Usage: pnpm -s verify FOLDER \[options\]/)
    expect(status).toBe(0)
  })

  it('is a program with an exit code', () => {
    const tsx = createRequire(import.meta.url).resolve('tsx')
    const args = ['--import', tsx, 'scripts/verify.ts', 'fixtures', '--only', '^relu$']
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
    expect(stderr).toBe('')
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('2 passed, 0 failed')
    expect(status).toBe(0)
    const wrong = spawnSync(process.execPath, ['--import', tsx, 'scripts/verify.ts'], { cwd: root, encoding: 'utf8' })
    expect([wrong.status, wrong.stdout]).toEqual([2, ''])
  })
})
