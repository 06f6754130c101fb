/**
 * Node's own timers, which cannot be told what time it is. Promises the same three measurements as for a `TimerQueue`. May
 * import passes.ts.
 */
import type { Passes } from './passes.ts'

/** In ms: so long are the timers that are let fire, and a little longer the process does something else meanwhile. */
const SHORT = 20

/** In ns for all entries: setting them, setting each anew, and the callbacks of all when all are overdue. */
export async function passNodeTimers(first: Float64Array, second: Float64Array, order: Int32Array): Promise<Passes> {
  const entries = first.length
  const timers: NodeJS.Timeout[] = Array.from({ length: entries })
  const ignore = (): void => {}
  const startedAt = process.hrtime.bigint()
  for (let entry = 0; entry < entries; entry++) timers[entry] = setTimeout(ignore, first[entry])
  const scheduledAt = process.hrtime.bigint()
  for (const entry of order) {
    clearTimeout(timers[entry])
    timers[entry] = setTimeout(ignore, second[entry])
  }
  const rescheduledAt = process.hrtime.bigint()
  for (const timer of timers) clearTimeout(timer)
  return {
    schedule: Number(scheduledAt - startedAt),
    reschedule: Number(rescheduledAt - scheduledAt),
    fire: await fireAll(entries),
  }
}

function fireAll(entries: number): Promise<number> {
  return new Promise((resolve) => {
    let fired = 0
    let firstAt = 0n
    const fire = (): void => {
      if (fired === 0) firstAt = process.hrtime.bigint()
      if (++fired === entries) resolve(Number(process.hrtime.bigint() - firstAt))
    }
    for (let entry = 0; entry < entries; entry++) setTimeout(fire, 1 + (entry % SHORT))
    const until = performance.now() + SHORT + 5
    while (performance.now() < until);
  })
}
