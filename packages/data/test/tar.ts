/** A tar archive of files; `change` may spoil each header before its checksum is made. */
export function tarFile(
  files: readonly (readonly [name: string, contents: Uint8Array, type?: string])[],
  change: (header: Uint8Array) => void = () => {},
): Uint8Array {
  const blocks: Uint8Array[] = []
  const ascii = (text: string): Uint8Array => new TextEncoder().encode(text)
  for (const [name, contents, type = '0'] of files) {
    const header = new Uint8Array(512)
    header.set(ascii(name), 0)
    header.set(ascii('0000644\0'), 100)
    header.set(ascii(`${contents.length.toString(8).padStart(11, '0')}\0`), 124)
    header.set(ascii('00000000000\0'), 136)
    header.set(ascii(type), 156)
    header.set(ascii('ustar\u000000'), 257)
    change(header)
    header.set(ascii('        '), 148)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.set(ascii(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
    const body = new Uint8Array(Math.ceil(contents.length / 512) * 512)
    body.set(contents)
    blocks.push(header, body)
  }
  blocks.push(new Uint8Array(1024))
  const archive = new Uint8Array(blocks.reduce((total, { length }) => total + length, 0))
  let at = 0
  for (const block of blocks) {
    archive.set(block, at)
    at += block.length
  }
  return archive
}
