/** Promises how long one pass over a `TimerQueue` takes. */
import type { TimerQueue } from './timer-queue.ts'

/** In ns, for all entries together. */
export interface Passes {
  readonly schedule: number
  readonly reschedule: number
  readonly fire: number
}

/** In ms: how often an owner looks what is due. */
const TICK = 10

/**
 * @param first when each entry is due, in ms; @param second when it is due after it was moved; @param order of moving
 * @throws Error when not all entries were handed out
 */
export function passQueue(queue: TimerQueue, first: Float64Array, second: Float64Array, order: Int32Array): Passes {
  const entries = first.length
  const end = second.reduce((latest, due) => Math.max(latest, due), 0) + TICK
  const startedAt = process.hrtime.bigint()
  for (let entry = 0; entry < entries; entry++) queue.schedule(entry, first[entry] as number)
  const scheduledAt = process.hrtime.bigint()
  for (const entry of order) queue.reschedule(entry, second[entry] as number)
  const rescheduledAt = process.hrtime.bigint()
  let fired = 0
  for (let now = TICK; now <= end; now += TICK) fired += queue.fire(now)
  const firedAt = process.hrtime.bigint()
  if (fired !== entries) throw new Error(`${fired} of ${entries} entries were handed out`)
  return {
    schedule: Number(scheduledAt - startedAt),
    reschedule: Number(rescheduledAt - scheduledAt),
    fire: Number(firedAt - rescheduledAt),
  }
}
