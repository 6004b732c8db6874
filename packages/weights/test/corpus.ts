/** Small files of every format to start from. */
import { readFileSync } from 'node:fs'
import { parseSafetensors } from '../src/index.ts'
import {
  ascii,
  checkpointOf,
  fourFloats,
  legacyOf,
  orderedDict,
  type Piece,
  p,
  pickle,
  stateOf,
  tensorOf,
} from './craft.ts'
import type { ParserName } from './mutate.ts'

const fixture = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)))

/** A pickle that uses every instruction that checkpoints use. */
const rich: Uint8Array = pickle(
  orderedDict,
  p.put(0),
  p.mark,
  p.text('epoch'),
  p.int(3),
  p.text('lr'),
  p.float(0.1),
  p.text('big'),
  p.long(2n ** 62n),
  p.text('list'),
  [p.list, p.mark, p.none, p.yes, p.no, p.appends],
  p.text('name'),
  p.bytes(ascii('bytes')),
  p.text('size'),
  [p.global('torch', 'Size'), p.ints(1, 2), p.tuple1, p.reduce],
  p.text('dtype'),
  p.global('torch', 'bfloat16'),
  p.text('state_dict'),
  [
    p.dict,
    p.mark,
    p.text('module.w'),
    tensorOf(),
    p.text('module.b'),
    tensorOf({ shape: p.ints(4), strides: p.ints(1) }),
    p.setItems,
  ],
  p.setItems,
  [p.dict, p.text('_metadata'), orderedDict, p.setItem, p.build],
)

const parameter: Piece = [
  p.global('torch._utils', '_rebuild_parameter'),
  p.mark,
  tensorOf({ shape: p.ints(2), strides: p.ints(2) }),
  p.yes,
  orderedDict,
  p.tuple,
  p.reduce,
]

const pickles = [rich, stateOf(tensorOf()), stateOf(parameter)]

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))

const weights = [
  { name: 'conv/kernel', shape: [1, 1, 2, 2], dtype: 'float32' },
  { name: 'conv/bias', shape: [16], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: -1 } },
  { name: 'bn/moving_mean', shape: [8], dtype: 'int32' },
]

const keysOfReference: readonly string[] = [...parseSafetensors(fixture('reference.safetensors')).entries.keys()]

export const corpora: Readonly<Record<ParserName, readonly Uint8Array[]>> = {
  pickle: pickles,
  zip: pickles.map((value) => checkpointOf(value, fourFloats)),
  legacy: pickles.map((value) => legacyOf(value)),
  npz: [fixture('arrays.npz'), fixture('compressed.npz'), fixture('objects.npz')],
  npy: [fixture('array.npy')],
  safetensors: [fixture('reference.safetensors')],
  tfjs: [json({ modelTopology: { a: [1, -2.5e3, true] }, weightsManifest: [{ paths: ['a.bin'], weights }] })],
  index: [json({ metadata: {}, weight_map: Object.fromEntries(keysOfReference.map((key) => [key, 'x.safetensors'])) })],
}
