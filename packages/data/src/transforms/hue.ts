/** Hue, saturation and value in bytes, with Pillow's roundings. */

const f = Math.fround

/** Turns the hue of every pixel by `turn` of the circle, which counts 256 steps; the colour goes through HSV and back. */
export function rotateHue(data: Uint8Array, channels: number, turn: number): Uint8Array {
  const result = data.slice()
  const steps = Math.trunc(turn * 255)
  for (let at = 0; at < data.length; at += channels) {
    const red = data[at]!
    const green = data[at + 1]!
    const blue = data[at + 2]!
    const value = Math.max(red, green, blue)
    const spread = value - Math.min(red, green, blue)
    if (spread === 0) continue
    const saturation = Math.trunc(f(spread / value) * 255)
    if (saturation === 0) {
      result.fill(value, at, at + 3)
      continue
    }
    const hue = (hueByte(red, green, blue, value, spread) + steps) & 255
    paint(result, at, hue, saturation, value)
  }
  return result
}

/** Place on the circle of 6 sectors, from 0 to 255. */
function hueByte(red: number, green: number, blue: number, value: number, spread: number): number {
  const [r, g, b] = [f((value - red) / spread), f((value - green) / spread), f((value - blue) / spread)]
  const sector = red === value ? f(b - g) : green === value ? f(2 + r - b) : f(4 + g - r)
  return Math.min(255, Math.trunc(f((sector / 6 + 1) % 1) * 255))
}

const round = (value: number): number => Math.min(255, Math.floor(value + 0.5))

function paint(to: Uint8Array, at: number, hue: number, saturation: number, value: number): void {
  const share = f(saturation / 255)
  const place = (hue * 6) / 255
  const sector = Math.floor(place)
  const rest = f(place - sector)
  const low = round(value * (1 - share))
  const falling = round(value * (1 - share * rest))
  const rising = round(value * (1 - share * (1 - rest)))
  const [red, green, blue] = sectorColour(sector % 6, value, low, falling, rising)
  to[at] = red
  to[at + 1] = green
  to[at + 2] = blue
}

type Colour = readonly [red: number, green: number, blue: number]

function sectorColour(sector: number, value: number, low: number, falling: number, rising: number): Colour {
  if (sector === 0) return [value, rising, low]
  if (sector === 1) return [falling, value, low]
  if (sector === 2) return [low, value, rising]
  if (sector === 3) return [low, falling, value]
  return sector === 4 ? [rising, low, value] : [value, low, falling]
}
