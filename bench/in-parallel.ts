/** Promises that many small tasks run side by side, but not all of them at once. */

/** Tasks under way at once: enough to keep a connection full, few enough that none of them waits for long. */
export const CALLERS = 1_000

/** Runs `task` once per item; rejects with the first error. @returns the results, in the order in which they came. */
export async function inParallel<Item, Result>(
  items: Iterable<Item>,
  task: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = []
  const rest = items[Symbol.iterator]()
  const caller = async (): Promise<void> => {
    for (let next = rest.next(); !next.done; next = rest.next()) results.push(await task(next.value))
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
  return results
}
