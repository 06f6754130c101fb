/** Waits for the work under a lock, but not for ever. */
import type { Alarms } from '../time/scheduler.ts'
import { Pause } from '../waiting/pause.ts'
import type { Tenure } from './tenure.ts'

/** Resolves once no work goes on, or after `limit` ms. */
export async function drained(tenure: Tenure, limit: number, scheduler: Alarms): Promise<void> {
  if (tenure.idle) return
  const pause = new Pause(scheduler)
  await Promise.race([tenure.settled(), pause.rest(limit)])
  pause.end()
}
