/** Promises that many small tasks run side by side, but not all of them at once. Imports nothing. */

/** Tasks under way at once: enough to keep a connection full, few enough that none of them waits for long. */
export const CALLERS = 1_000

/** Runs `task` once per item; rejects with the first error. */
export async function inParallel<Item>(items: Iterable<Item>, task: (item: Item) => Promise<unknown>): Promise<void> {
  const rest = items[Symbol.iterator]()
  const caller = async (): Promise<void> => {
    for (let next = rest.next(); !next.done; next = rest.next()) await task(next.value)
  }
  await Promise.all(Array.from({ length: CALLERS }, caller))
}
