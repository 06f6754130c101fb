/** Bounds how long a promise may take. */
import { UnavailableError } from '../errors.ts'
import type { Alarms } from '../time/scheduler.ts'

/** @throws UnavailableError if `work` takes longer than `ms`. The work then goes on, and its result is dropped. */
export function within<T>(alarms: Alarms, ms: number, work: () => Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const alarm = alarms.after(ms, () => {
      reject(new UnavailableError(`The backend did not answer within ${ms} ms`))
    })
    work()
      .then(resolve, reject)
      .finally(() => alarm.cancel())
  })
}
