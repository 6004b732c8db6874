/** Pieces of HTML and SVG as strings. */

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Text that means itself in HTML and XML. Characters that XML has no place for are dropped. */
export function escapeText(text: string): string {
  return text.replaceAll(/(?![\t\n\r])\p{Cc}/gu, '').replaceAll(/[&<>"']/g, (c) => entities[c] as string)
}

/** A number for an attribute, with at most two decimals. */
export function n(value: number): string {
  return String(Math.round(value * 100) / 100)
}

/** Widest that a text in the system's sans-serif is likely to be, in pixels. */
export function textWidth(text: string, fontSize: number): number {
  let em = 0
  for (const character of text)
    em += /[A-ZMWmw@%]/.test(character) ? 0.78 : /[iljtf.,:;|' ()[\]]/.test(character) ? 0.36 : 0.6
  return em * fontSize
}

/** Colours that pictures share, light and dark; eight hues that people with any colour vision tell apart. */
export const palette = `
  --paper: #ffffff; --panel: #f6f7f9; --ink: #1b1f24; --soft: #57606a; --line: #d5dae0; --track: #e8ebef;
  --c0: #2f6fde; --c1: #d9730d; --c2: #1a8f5c; --c3: #c2334d; --c4: #7a52c7; --c5: #0f8b9d; --c6: #9a6b1f; --c7: #6b7280;`

export const darkPalette = `
  --paper: #14171b; --panel: #1c2026; --ink: #e7eaee; --soft: #9aa4b0; --line: #343b44; --track: #2a3038;
  --c0: #6ea2ff; --c1: #f0a04b; --c2: #4cc38a; --c3: #f2728a; --c4: #b092f0; --c5: #4fc3d4; --c6: #d6ab63; --c7: #9aa4b0;`

/** Number of hues in the palette. */
export const hues = 8

/** Style of a picture that stands alone: follows the reader's choice of light or dark. */
export function pictureStyle(more = ''): string {
  return `<style>:root{color-scheme:light dark}svg{${palette}font-family:system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}@media(prefers-color-scheme:dark){svg{${darkPalette}}}text{fill:var(--ink)}.soft{fill:var(--soft)}${more}</style>`.replaceAll(
    /\s*\n\s*/g,
    '',
  )
}
