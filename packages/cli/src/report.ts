/** Numbers and tables as people read them. */

/** A table's column: its title, and where its text stands. */
export interface Column {
  readonly title: string
  readonly align?: 'left' | 'right'
}

/** Text of a stranger's file, with what a terminal would obey (control characters, turns of direction) spelled out. */
export const printable = (text: string): string =>
  text.replaceAll(
    /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu,
    (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  )

/** Rows of text under titles, in columns two spaces apart; `printable`. */
export function table(columns: readonly Column[], contents: readonly (readonly string[])[]): string {
  const rows = contents.map((row) => row.map(printable))
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, i) => (align === 'right' ? cells[i]!.padStart(widths[i]!) : cells[i]!.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd()
  return [line(columns.map(({ title }) => title)), ...rows.map(line)].join('\n')
}

/** The same in lines of at most `width` characters if it can be: columns are left out in the order of the titles in `spare`. */
export function tableWithin(
  width: number,
  spare: readonly string[],
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string {
  const text = table(columns, rows)
  const [first, ...others] = spare
  if (first === undefined || text.split('\n').every((line) => line.length <= width)) return text
  const kept = <T>(cells: readonly T[]): T[] => cells.filter((_, i) => columns[i]?.title !== first)
  return tableWithin(width, others, kept(columns), rows.map(kept))
}

/** 272474 as `272,474`. */
export const whole = (value: number): string => Math.round(value).toLocaleString('en-US')

/** 1 as `1 epoch`, 1500 as `1,500 epochs`. */
export const plural = (count: number, noun: string): string => `${whole(count)} ${noun}${count === 1 ? '' : 's'}`

/** 4089284608 as `4.09 G`, with three digits. */
export function short(value: number): string {
  const three = Number(value.toPrecision(3))
  if (three < 1e3) return String(value)
  const [unit, size] = three >= 1e9 ? ['G', 1e9] : three >= 1e6 ? ['M', 1e6] : ['k', 1e3]
  return `${(three / Number(size)).toPrecision(3)} ${unit}`
}

/** 102441344 bytes as `97.7 MiB`, with three digits. */
export function binary(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let [scaled, unit] = [bytes, 0]
  for (; unit < units.length - 1 && scaled >= 1023.5; unit++) scaled /= 1024
  const digits = unit === 0 || scaled >= 999.5 ? String(Math.round(scaled)) : scaled.toPrecision(3)
  return `${digits} ${units[unit]}`
}

/** 0.8734 as `87.3 %`. */
export const percent = (value: number): string => `${(100 * value).toFixed(1)} %`

/** Seconds as `m:ss` or `h:mm:ss`. */
export function clock(seconds: number): string {
  const total = Math.max(0, Math.round(seconds))
  const [h, m, s] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60]
  const two = (value: number): string => String(value).padStart(2, '0')
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}
