/** CRC-32 as zip has it: polynomial 0xEDB88320, bits from the lowest on (ISO 3309). */

/** Eight tables of 256, so that eight bytes take one round: table k is what a byte does k bytes before the end. */
let tables: Uint32Array | undefined

function makeTables(): Uint32Array {
  const table = new Uint32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    table[byte] = crc
  }
  for (let i = 256; i < table.length; i++) table[i] = (table[i - 256]! >>> 8) ^ table[table[i - 256]! & 255]!
  return table
}

/** The checksum of `bytes` after data whose checksum is `crc` (0 at the beginning). */
export function crc32(bytes: Uint8Array, crc = 0): number {
  tables ??= makeTables()
  const t = tables
  const whole = bytes.length - (bytes.length % 8)
  let c = ~crc
  let i = 0
  for (; i < whole; i += 8) {
    const low = c ^ (bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24))
    c =
      t[0x700 | (low & 255)]! ^
      t[0x600 | ((low >>> 8) & 255)]! ^
      t[0x500 | ((low >>> 16) & 255)]! ^
      t[0x400 | (low >>> 24)]! ^
      t[0x300 | bytes[i + 4]!]! ^
      t[0x200 | bytes[i + 5]!]! ^
      t[0x100 | bytes[i + 6]!]! ^
      t[bytes[i + 7]!]!
  }
  for (; i < bytes.length; i++) c = (c >>> 8) ^ t[(c ^ bytes[i]!) & 255]!
  return ~c >>> 0
}
