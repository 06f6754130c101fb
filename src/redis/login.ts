/**
 * The user name and the password of the next connection: those that the application's client has now, or those of
 * `credentials`. Tokens used as passwords expire after some minutes.
 */
import type { Redis } from 'ioredis'
import { asError } from '../as-error.ts'
import type { Credentials } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { UnavailableError } from '../errors.ts'

export interface LoginParts {
  readonly source: Redis | string
  readonly clock: Clock
  /** ms that a request may stay unanswered. `credentials` may take as long as connecting: twice that, and at least 1,000. */
  readonly timeout: number
  readonly credentials: (() => Promise<Credentials>) | undefined
}

/** @param client its options are set. @param onFault called if `credentials` fails: the previous ones may still work. */
export function refreshLogin(
  client: Redis,
  { source, clock, timeout, credentials }: LoginParts,
  onFault: (error: UnavailableError) => void,
): Promise<void> | undefined {
  if (typeof source !== 'string') {
    const { username, password, sentinelUsername, sentinelPassword } = source.options
    Object.assign(client.options, { username, password, sentinelUsername, sentinelPassword })
  }
  if (credentials === undefined) return undefined
  return within(clock, Math.max(2 * timeout, 1_000), credentials).then(
    ({ username, password }) => {
      Object.assign(client.options, username === undefined ? { password } : { username, password })
    },
    (thrown: unknown) => {
      const cause = asError(thrown)
      onFault(new UnavailableError(`\`credentials\` failed: ${cause.message}`, undefined, { cause }))
    },
  )
}

/** Bounds `credentials`: if it never settles, the manager must still connect. */
async function within(clock: Clock, ms: number, ask: () => Promise<Credentials>): Promise<Credentials> {
  let give: (() => void) | undefined
  const over = new Promise<never>((_, reject) => {
    give = () => reject(new UnavailableError(`no answer within ${ms} ms`))
  })
  const timer = clock.setTimer(() => give?.(), ms)
  try {
    // In a turn of its own: the constructor of the manager may still run, and nobody listens yet.
    return await Promise.race([Promise.resolve().then(ask), over])
  } finally {
    timer.cancel()
  }
}
