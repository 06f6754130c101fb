/**
 * A server, described in plain data that another thread understands: a URL, or the options of an ioredis client. Options with a function in them cannot
 * be sent to a thread, unless our own connections replace them anyway.
 */
import { Redis, type RedisOptions } from 'ioredis'
import { databaseOf } from './connection-options.ts'

export type PortableSource = string | { readonly options: Omit<RedisOptions, 'replyMapping'> }

/** What `ownOptions` replaces, or what our connections never use. */
const REPLACED: readonly string[] = [
  'retryStrategy',
  'reconnectOnError',
  'sentinelRetryStrategy',
  'sentinelReconnectStrategy',
  'replyMapping',
  'scripts',
]

/** @throws TypeError naming what cannot be sent to another thread. */
export function describeSource(source: Redis | string): PortableSource {
  if (typeof source === 'string') return source
  const { options } = source
  if (options.sentinels)
    throw new TypeError('Expected no `keeper` with a client that finds its server through Sentinels')
  const kept = Object.entries(options).filter(([name]) => !REPLACED.includes(name))
  for (const [name, value] of kept) {
    try {
      structuredClone(value)
    } catch {
      const reason = 'a keeper connects in another thread, which gets only plain data'
      throw new TypeError(`Expected the option \`${name}\` of the client to be plain data with \`keeper\`: ${reason}`)
    }
  }
  return { options: { ...Object.fromEntries(kept), db: databaseOf(source) ?? 0 } }
}

/** The source again, in the other thread. The client never connects: its options are used for connections of our own. */
export function sourceOf(described: PortableSource): Redis | string {
  return typeof described === 'string' ? described : new Redis({ ...described.options, lazyConnect: true })
}
