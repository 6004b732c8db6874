// Many small checks of one kind: each runs to its end, what went wrong is printed, the sum is the result.

/** Runs `check(item)` for every item in turn; returns `{ passed, failed }`. A line it returns is printed with `ok`. */
export async function each(items, label, check) {
  const counts = { passed: 0, failed: 0 }
  for (const item of items) {
    try {
      const note = await check(item)
      counts.passed++
      console.log(`ok     ${label(item)}${note ? `  ${note}` : ''}`)
    } catch (error) {
      counts.failed++
      console.log(`FAILED ${label(item)}\n${error.message.replace(/^/gm, '       ')}`)
    }
  }
  return counts
}
