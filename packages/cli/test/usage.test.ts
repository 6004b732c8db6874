import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { command, program } from './drive.ts'

describe('help', () => {
  test('the program names its commands, exit codes and examples', async () => {
    const { code, stdout, stderr } = await command('--help')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const word of [
      'train',
      'classify',
      'models',
      'inspect',
      'convert',
      '--version',
      '--debug',
      'Examples:',
      'Exit codes: 0 done',
    ]) {
      expect(stdout).toContain(word)
    }
  })

  test.each(['train', 'classify', 'models', 'inspect', 'convert'])(
    '%s has examples that are commands of its own',
    async (name) => {
      const { code, stdout } = await command(name, '--help')
      expect(code).toBe(0)
      const [options, list] = stdout.split('Examples:')
      const examples = list!.trim().split('\n')
      expect(examples.length).toBeGreaterThanOrEqual(3)
      for (const example of examples) expect(example.trim()).toMatch(new RegExp(`^\\$ convnets ${name}`))
      for (const [, option] of list!.matchAll(/ (--[a-z-]+)/g)) expect(options).toContain(`  ${option}`)
    },
  )

  test('without a command, help is the answer to a mistake', async () => {
    const { code, stdout, stderr } = await command()
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^Usage: convnets/)
  })

  test('the version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
    expect(await program(['--version'], tmpdir())).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' })
  })
})

describe('wrong usage', () => {
  test.each([
    [['trian'], "unknown command 'trian'\n(Did you mean train?)"],
    [['train', '--epcohs', '3'], "unknown option '--epcohs'\n(Did you mean --epochs?)"],
    [['train', 'resnet20'], "too many arguments for 'train'. Expected 0 arguments but got 1."],
    [['train', '--epochs'], "option '--epochs <n>' argument missing"],
    [
      ['train', '--epochs', '0'],
      "option '--epochs <n>' argument '0' is invalid. It should be a whole number of at least 1.",
    ],
    [['train', '--epochs', '2.5'], "argument '2.5' is invalid. It should be a whole number of at least 1."],
    [['train', '--batch', '0x10'], "argument '0x10' is invalid. It should be a whole number of at least 1."],
    [['train', '--batch', '-1'], "argument '-1' is invalid. It should be a whole number of at least 1."],
    [['train', '--limit', ''], "argument '' is invalid. It should be a whole number of at least 1."],
    [['train', '--seed', '4294967296'], 'It should be a whole number from 0 to 4294967295.'],
    [['train', '--threads', '65'], 'It should be a whole number from 1 to 64.'],
    [['train', '--lr', '0'], "option '--lr <x>' argument '0' is invalid. It should be a number above 0."],
    [['train', '--lr', 'fast'], "argument 'fast' is invalid. It should be a number above 0."],
    [['train', '--momentum', '1'], "argument '1' is invalid. It should be a number from 0 to below 1."],
    [['train', '--weight-decay', '-1e-4'], 'It should be a number of at least 0.'],
    [['train', '--data', 'imagenet'], 'Allowed choices are fashion-mnist, fashion-mnist-full, mnist, cifar10.'],
    [['train', '--optimizer', 'lion'], 'Allowed choices are sgd, adam, adamw, rmsprop.'],
    [['train', '--schedule', 'cyclic'], 'Allowed choices are one-cycle, cosine, step, constant.'],
    [['classify'], "missing required argument 'weights'"],
    [['classify', 'model.safetensors'], "missing required argument 'pictures'"],
    [['classify', '--top', '0', 'a', 'b'], "argument '0' is invalid. It should be a whole number of at least 1."],
  ])('%j', async (argv, message) => {
    const { code, stdout, stderr } = await command(...argv)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^error: /)
    expect(stderr).toContain(message)
    expect(stderr).not.toMatch(/ {4}at /)
  })
})
