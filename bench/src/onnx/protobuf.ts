/** As much of the protocol-buffer wire format as it takes to write ONNX files. */

/** The bytes of some fields of a message, in order. */
export type Field = Uint8Array

function varint(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return [...bytes, rest]
    bytes.push((rest % 128) + 128)
  }
}

/** A whole number of at least 0. */
export function integer(field: number, value: number): Field {
  return Uint8Array.from([...varint(field * 8), ...varint(value)])
}

export function bytes(field: number, content: Uint8Array): Field {
  const head = [...varint(field * 8 + 2), ...varint(content.length)]
  const all = new Uint8Array(head.length + content.length)
  all.set(head)
  all.set(content, head.length)
  return all
}

export function text(field: number, value: string): Field {
  return bytes(field, new TextEncoder().encode(value))
}

/** A message inside of a message. */
export function message(field: number, ...fields: readonly Field[]): Field {
  return bytes(field, join(fields))
}

export function join(fields: readonly Field[]): Uint8Array {
  const all = new Uint8Array(fields.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const field of fields) {
    all.set(field, at)
    at += field.length
  }
  return all
}
