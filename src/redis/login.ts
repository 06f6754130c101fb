/**
 * The name and the password of the next connection: those that the application's client has now, or what `credentials` brings. Tokens that stand
 * for passwords live for some minutes. May import ioredis' types, errors.
 */
import type { Redis } from 'ioredis'
import { asError } from '../as-error.ts'
import type { Credentials } from '../backend.ts'
import { UnavailableError } from '../errors.ts'

export interface LoginParts {
  readonly source: Redis | string
  readonly credentials: (() => Promise<Credentials>) | undefined
}

/** @param client whose options are set. @param onFault is told if `credentials` fails: the ones before may still do. */
export function refreshLogin(
  client: Redis,
  { source, credentials }: LoginParts,
  onFault: (error: UnavailableError) => void,
): Promise<void> | undefined {
  if (typeof source !== 'string') {
    const { username, password, sentinelUsername, sentinelPassword } = source.options
    Object.assign(client.options, { username, password, sentinelUsername, sentinelPassword })
  }
  return credentials && ask(client, credentials, onFault)
}

async function ask(
  client: Redis,
  credentials: () => Promise<Credentials>,
  onFault: (error: UnavailableError) => void,
): Promise<void> {
  try {
    const { username, password } = await credentials()
    Object.assign(client.options, { username, password })
  } catch (thrown) {
    const cause = asError(thrown)
    onFault(new UnavailableError(`\`credentials\` failed: ${cause.message}`, undefined, { cause }))
  }
}
