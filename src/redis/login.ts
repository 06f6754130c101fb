/**
 * The name and the password of the next connection: those that the application's client has now, or what `credentials`
 * brings. Tokens that stand for passwords live for some minutes.
 */
import type { Redis } from 'ioredis'
import { asError } from '../as-error.ts'
import type { Credentials } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { UnavailableError } from '../errors.ts'

export interface LoginParts {
  readonly source: Redis | string
  readonly clock: Clock
  /** ms that a request may stay unanswered; `credentials` may take as long as a connection may. */
  readonly timeout: number
  readonly credentials: (() => Promise<Credentials>) | undefined
}

/** @param client whose options are set. @param onFault is told if `credentials` fails: the ones before may still do. */
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

/** One that never answers must not keep the manager from connecting for good. */
async function within(clock: Clock, ms: number, ask: () => Promise<Credentials>): Promise<Credentials> {
  let give: (() => void) | undefined
  const over = new Promise<never>((_, reject) => {
    give = () => reject(new UnavailableError(`no answer within ${ms} ms`))
  })
  const timer = clock.setTimer(() => give?.(), ms)
  try {
    // In a turn of its own: the manager may just be made, and nobody listens yet.
    return await Promise.race([Promise.resolve().then(ask), over])
  } finally {
    timer.cancel()
  }
}
