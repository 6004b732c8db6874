/** What someone may have meant. */

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function distance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const at = (r: number, c: number): number => (r === i ? row : rows[r])?.[c] ?? 0
      let best = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1))
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(i - 2, j - 2) + 1)
      row.push(best)
    }
    rows.push(row)
  }
  return rows[a.length]?.[b.length] ?? 0
}

const plain = (word: string): string => word.toLowerCase().replaceAll(/[-_. ]/g, '')

/** The names nearest to a wrong one, best first, at most `count`. Case, dashes and underscores count little. */
export function nearest(name: string, names: Iterable<string>, count = 3): string[] {
  const wanted = plain(name)
  return [...names]
    .map((candidate) => ({ candidate, far: distance(wanted, plain(candidate)) }))
    .sort((a, b) => a.far - b.far)
    .slice(0, count)
    .map(({ candidate }) => candidate)
}

/** The one name that a wrong one is most likely to be a slip of, if any is near. */
export function meant(name: string, names: Iterable<string>): string | undefined {
  const [best] = nearest(name, names, 1)
  return best !== undefined && distance(plain(name), plain(best)) <= Math.ceil(best.length / 4) ? best : undefined
}
