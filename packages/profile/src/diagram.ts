/** A network as a picture: its parts in order, as wide as their maps are large, with shapes. */
import { readOptions } from '@convnets/tensor'
import { escapeText, n, pictureStyle, textWidth } from './markup.ts'
import type { Profile } from './profile.ts'
import { arithmetic, percent, shapeText, short, shorten } from './table.ts'
import type { ProfileNode } from './tree.ts'

/** How a network is drawn. */
export interface DiagramOptions {
  /** Parts at most; where it allows, parts are shown as what they consist of. Default 24. */
  readonly parts?: number
  /** Pixels. Default 720. */
  readonly width?: number
}

/** The parts to show: the model's children, the costliest containers opened as long as there is room. */
function partsOf({ root, convention }: Profile, limit: number): ProfileNode[] {
  const called = (node: ProfileNode): ProfileNode[] => node.children.filter(({ calls }) => calls > 0)
  let parts = called(root)
  if (parts.length === 0) return [root]
  const plain = new Set(['Sequential', 'ModuleList'])
  for (;;) {
    const fits = parts
      .filter((part) => plain.has(part.type) && called(part).length > 0)
      .filter((part) => parts.length - 1 + called(part).length <= limit)
      .sort((a, b) => b.cost[convention] - a.cost[convention])
    const [next] = fits
    if (next === undefined) return parts
    parts = parts.flatMap((part) => (part === next ? called(part) : [part]))
  }
}

/**
 * Draws a network as an SVG that stands alone: its parts from top to bottom, each as wide as its maps are large (square root of
 * the cells, so that a halved resolution is half as wide), with the shape that it gives and its share of the arithmetic. Follows
 * the reader's choice of light or dark.
 */
export function diagram(profile: Profile, options: DiagramOptions = {}): string {
  const { parts: limit, width } = readOptions('diagram', options, { parts: 24, width: 720 })
  const parts = partsOf(profile, Math.max(1, limit))
  const [rowHeight, gap, top] = [30, 10, 56]
  const side = (shape: readonly number[] | undefined): number =>
    shape === undefined || shape.length < 4 ? 1 : Math.sqrt((shape[2] as number) * (shape[3] as number))
  const inputShape = [profile.batch, ...profile.input]
  const rows = [
    { label: 'input', note: '', shape: inputShape, share: undefined as number | undefined, hue: 7 },
    ...parts.map((part) => ({
      label: part.path === '' ? part.type : part.path,
      note: part.path === '' ? '' : part.type,
      shape: part.outputShape,
      share: profile.share(part),
      hue: part.cost.macs > 0 ? 0 : 5,
    })),
  ]
  const largest = Math.max(...rows.map(({ shape }) => side(shape)))
  const [left, right] = [width * 0.36, width * 0.74]
  const middle = (left + right) / 2
  const room = right - left - 8
  const height = top + rows.length * (rowHeight + gap) + 8
  const fit = (text: string, pixels: number, fontSize: number): string => {
    let cut = text
    while (textWidth(cut, fontSize) > pixels && cut.length > 3) cut = shorten(text, cut.length - 1)
    return cut
  }
  const drawn = rows.map(({ label, note, shape, share, hue }, i) => {
    const y = top + i * (rowHeight + gap)
    const w = Math.max(10, (room * side(shape)) / largest)
    const arrow =
      i === 0 ? '' : `<path class="arrow" d="M${n(middle)} ${n(y - gap)}v${n(gap - 1)}" marker-end="url(#tip)"/>`
    const shareText = share === undefined ? '' : percent(share)
    return `<g><title>${escapeText(`${label} ${note} ${shapeText(shape)} ${shareText}`)}</title>${arrow}<rect x="${n(middle - w / 2)}" y="${n(y)}" width="${n(w)}" height="${rowHeight}" rx="5" fill="var(--c${hue})" fill-opacity="${n(0.3 + 0.7 * Math.min(1, 2 * (share ?? 0)))}" stroke="var(--c${hue})"/><text x="${n(left - 16)}" y="${n(y + 13)}" text-anchor="end" font-size="12.5">${escapeText(fit(label, left - 24, 12.5))}</text><text class="soft" x="${n(left - 16)}" y="${n(y + 26)}" text-anchor="end" font-size="10.5">${escapeText(fit(note, left - 24, 10.5))}</text><text x="${n(right + 12)}" y="${n(y + 13)}" font-size="12.5" class="mono">${escapeText(shapeText(shape))}</text><text class="soft" x="${n(right + 12)}" y="${n(y + 26)}" font-size="10.5">${shareText === '' ? '' : `${shareText} of ${arithmetic[profile.convention]}`}</text></g>`
  })
  const title = `${profile.name}: ${short(profile.parameters)} parameters, ${short(profile.macs)} MACs`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${n(height)}" width="${width}" height="${n(height)}" role="img" aria-label="${escapeText(title)}">${pictureStyle('.mono{font-variant-numeric:tabular-nums}.arrow{stroke:var(--soft);stroke-width:1.2;fill:none}')}<defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto"><path d="M0 0L6 3L0 6z" fill="var(--soft)"/></marker></defs><rect width="100%" height="100%" fill="var(--paper)"/><text x="24" y="32" font-size="16" font-weight="600">${escapeText(fit(title, width - 48, 16))}</text>${drawn.join('')}</svg>`
}
