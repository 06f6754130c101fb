/** Starts the keeper of a manager, if its options ask for one. */
import type { Backend, BackendSettings } from '../backend.ts'
import { KeptLeases } from '../keeper/kept-leases.ts'
import type { ManagerSettings } from '../options/settings.ts'
import type { SystemClock } from '../time/clock.ts'
import type { Alarms } from '../time/scheduler.ts'

export interface KeepParts {
  readonly settings: ManagerSettings
  readonly backend: Backend
  readonly backendSettings: BackendSettings
  readonly scheduler: Alarms
  readonly subscribers: { reportFault(error: Error): void }
}

/** @throws TypeError if there can be none for this backend. */
export function keep({
  settings,
  backend,
  backendSettings,
  scheduler,
  subscribers,
}: KeepParts): KeptLeases | undefined {
  const { keeper: choice, clock, driftFactor, batchSize, ttl } = settings
  if (choice === undefined) return undefined
  if (backend.startKeeper === undefined) {
    throw new TypeError(
      'Expected no `keeper` with this connection: it needs a URL or an ioredis client, for one server',
    )
  }
  return new KeptLeases({
    // The options were checked for that.
    clock: clock as SystemClock,
    scheduler,
    driftFactor,
    ttl,
    start: (memory) =>
      backend.startKeeper?.(backendSettings, { ...memory, ...choice, batchSize, driftFactor }, (fault) =>
        subscribers.reportFault(fault),
      ) as NonNullable<ReturnType<NonNullable<Backend['startKeeper']>>>,
  })
}
