import { classic } from '@convnets/models-classic'
import { modern } from '@convnets/models-modern'
import { describe, expect, test } from 'vitest'
import { command } from './drive.ts'

describe('models', () => {
  test('the table has a row for every model, with its facts', async () => {
    const { code, stdout, stderr } = await command('models')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [title, ...rows] = stdout.trimEnd().split('\n')
    expect(title).toMatch(/^model +parameters +MACs +input +top-1/)
    expect(rows.map((row) => row.split(' ')[0])).toEqual([...classic, ...modern].map(({ name }) => name))
    // torchvision's documentation: 25,557,032 parameters, 4.09 GFLOPS; timm's results: 81.146 for fb_swsl_ig1b_ft_in1k.
    expect(rows.find((row) => row.startsWith('resnet50 '))).toMatch(/25,557,032 +4\.09 G +224 x 224 +81\.1 %/)
  })

  test.each([
    ['resnet50', ['resnet50', 'wide_resnet50_2', 'legacy_seresnet50', 'seresnet50']],
    ['resnet5*', ['resnet50', 'resnet56']],
    ['net3', ['resnet34', 'resnet32', 'legacy_seresnet34']],
    ['plain?0', ['plain20']],
    ['vgg1?', ['vgg11', 'vgg13', 'vgg16', 'vgg19']],
  ])('pattern %s', async (pattern, names) => {
    const { stdout } = await command('models', '--json', pattern)
    expect(JSON.parse(stdout).map(({ name }: { name: string }) => name)).toEqual(names)
  })

  test('JSON has the numbers as they are', async () => {
    const { stdout } = await command('models', '--json', 'resnet20')
    expect(JSON.parse(stdout)).toMatchObject([
      { name: 'resnet20', params: 269_722, inputSize: [32, 32], numClasses: 10, labels: 'cifar-10' },
    ])
  })

  test('a pattern that fits nothing is a failure', async () => {
    expect(await command('models', 'bert')).toEqual({
      code: 1,
      stdout: '',
      stderr: "error: No model has a name like 'bert'; `convnets models` lists all.\n",
    })
  })
})
