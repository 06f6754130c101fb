/** Long loops that give the event loop its turns. */
import { type Clock, nextTurn } from './clock.ts'

/** Iterations in one turn: a fraction of a millisecond's work. */
const SLICE = 8_192

/** Calls `work` for each index in order. @returns undefined if the loop is over, as it is with up to some thousands. */
export function forEachIndex(count: number, clock: Clock, work: (index: number) => void): Promise<void> | undefined {
  const goOn = (start: number): number => {
    const end = Math.min(start + SLICE, count)
    for (let index = start; index < end; index += 1) work(index)
    return end
  }
  const end = goOn(0)
  if (end === count) return undefined
  const rest = async (): Promise<void> => {
    for (let start = end; start < count; start = goOn(start)) {
      await nextTurn(clock)
    }
  }
  return rest()
}
