/** Formats, told from the first bytes of a file; its name says nothing that can be relied on. */
import { isLegacyCheckpoint } from './pytorch/legacy-container.ts'

/** What a file is by its first bytes: a format that is read here, a container of formats, or why it is not read. */
export type Detected = 'safetensors' | 'pytorch-legacy' | 'zip' | 'npy' | 'json' | { readonly refused: string }

/** Bytes from the beginning that it takes to tell. */
export const DETECT_BYTES = 512

function begins(bytes: Uint8Array, text: string, at = 0): boolean {
  return bytes.length >= at + text.length && [...text].every((letter, i) => bytes[at + i] === letter.charCodeAt(0))
}

/** Formats that are known and not read, with what to do. */
const refusals: readonly (readonly [start: string, at: number, what: string])[] = [
  ['\x89HDF\r\n', 0, 'an HDF5 file (Keras .h5); convert it with tensorflowjs_converter to model.json and its shards'],
  ['ustar', 257, 'a tar archive (a PyTorch checkpoint before 0.1.10); load and save it once with PyTorch'],
  ['7z\xbc\xaf\x27\x1c', 0, 'a 7-Zip archive'],
  ['\x1f\x8b', 0, 'a gzip file; unpack it first'],
  ['BZh', 0, 'a bzip2 file; unpack it first'],
  ['\xfd7zXZ\0', 0, 'an xz file; unpack it first'],
  ['\x28\xb5\x2f\xfd', 0, 'a Zstandard file; unpack it first'],
  ['Rar!', 0, 'a RAR archive'],
  ['GGUF', 0, 'a GGUF file'],
  ['version https://git-lfs', 0, 'a pointer of Git LFS instead of the file; run git lfs pull'],
  ['<', 0, 'a web page or XML; the address may need a login'],
]

const startOfZip: readonly string[] = ['PK\x03\x04', 'PK\x05\x06', 'PK\x07\x08', 'PK\x01\x02']

export function detect(start: Uint8Array): Detected {
  if (isLegacyCheckpoint(start)) return 'pytorch-legacy'
  if (startOfZip.some((signature) => begins(start, signature))) return 'zip'
  if (begins(start, '\x93NUMPY')) return 'npy'
  const refusal = refusals.find(([text, at]) => begins(start, text, at))
  if (refusal) return { refused: refusal[2] }
  // The length of a header comes first, and the header is an object.
  if (start.length >= 9 && start[7] === 0 && start[8] === 0x7b) return 'safetensors'
  if (start[0] === 0x80 && start[1] !== undefined && start[1] <= 5) {
    return { refused: 'a pickle that torch.save did not write' }
  }
  const first = start.find((byte) => byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09)
  if (first === 0x7b) return 'json'
  // What is left can only be said to be no whole safetensors file, or nothing at all.
  return start.length < 8 || start[7] === 0 ? 'safetensors' : { refused: 'bytes of no such format' }
}
