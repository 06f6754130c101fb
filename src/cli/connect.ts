/** Connects to the server that the arguments name. The library is loaded here and not before: `--help` works without ioredis. */
import type { Connectable, LeaseManager } from 'leasewheel'
import { makeClient } from '../redis/addressed-client.ts'
import type { Target } from './arguments.ts'

/** The server cannot be asked: the message says why. */
class ConnectionError extends Error {}

const MISSING = 'the package ioredis is missing, which talks to the server: run `npm install ioredis`'

/** A manager that changes nothing: it watches no keys and announces nothing. @throws an error whose message says what is wrong. */
export async function connect(target: Target): Promise<LeaseManager> {
  const timeout = Math.round(target.timeout)
  try {
    const { LeaseManager } = await import('leasewheel')
    return new LeaseManager(await connectionOf(target), {
      prefix: target.prefix,
      timeout,
      ttl: Math.max(timeout, 30_000),
      watch: false,
    })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    throw code === 'ERR_MODULE_NOT_FOUND' && message.includes("'ioredis'") ? new ConnectionError(MISSING) : error
  }
}

/** The address without user and password. */
export function addressOf({ url, sentinel }: Target): string {
  // A text that is no URL may contain a password all the same.
  const { host = '?', pathname = '' } = URL.canParse(url) ? new URL(url) : {}
  return `${sentinel === undefined ? '' : `${sentinel}@`}${host}${pathname === '/' ? '' : pathname}`
}

async function connectionOf({ url, sentinel, cluster }: Target): Promise<Connectable> {
  if (sentinel === undefined && !cluster) return url
  return makeClient({ url, sentinel })
}
