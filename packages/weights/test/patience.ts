/** How long something takes, on a machine that others use too. */

const TRIES = 5

/** Milliseconds that this process has computed. */
function computed(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

/**
 * Milliseconds that a call computes. One that took longer than `limit` by the clock is made again, since it may have met a
 * pause of the machine, of the collector of garbage or of the compiler, and the call that computed least counts.
 */
export async function ownTime(taken: number, limit: number, again: () => unknown): Promise<number> {
  let least = taken
  for (let left = TRIES; left > 0 && least > limit; left--) {
    const before = computed()
    await again()
    least = Math.min(least, computed() - before)
  }
  return least
}
