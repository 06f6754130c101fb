/** Bounds how long a promise may take. */
import type { Alarms } from '../time/scheduler.ts'
import { unanswered } from './unanswered.ts'

/**
 * @param faultOf why there may be no answer in time, if that is known.
 * @throws UnavailableError if `work` takes longer than `ms`. The work then goes on, and its result is dropped.
 */
export function within<T>(
  alarms: Alarms,
  ms: number,
  work: () => Promise<T>,
  faultOf: () => Error | undefined = nothing,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const alarm = alarms.after(ms, () => {
      reject(unanswered(`The backend did not answer within ${ms} ms`, faultOf()))
    })
    work()
      .then(resolve, reject)
      .finally(() => alarm.cancel())
  })
}

function nothing(): undefined {
  return undefined
}
