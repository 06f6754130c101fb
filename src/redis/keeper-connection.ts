/**
 * The connection of a keeper. It sends a renewal at once and never again: what is sent later might renew a lease that has ended meanwhile.
 *
 * Node resolves names in a pool of threads that all threads of the process share. While the main thread keeps that pool busy, a name may take half a
 * minute. So the keeper connects early, and reconnects by the address that it knows while the main thread is silent.
 */
import type { Redis } from 'ioredis'
import type { ChangeOutcome, LockEntry } from '../backend.ts'
import type { Clock } from '../time/clock.ts'
import { Connection } from './connection.ts'
import { Heads } from './encoded-command.ts'
import { callOf, SCRIPTS, ttlsOf } from './lock-call.ts'
import { changeOutcomes } from './outcomes.ts'
import { explainReply, isReply, kindOf } from './reply-fault.ts'
import { wholeCommand } from './script.ts'
import { ToldFaults } from './told-faults.ts'

export interface KeeperConnectionParts {
  readonly source: Redis | string
  readonly clock: Clock
  /** How long a request may stay unanswered, in ms. */
  readonly timeout: number
  readonly owner: string | undefined
  /** Precedes every key, after the prefix of the client. */
  readonly prefix: string
  /** Whether the main thread is silent. */
  readonly isSilent: () => boolean
  readonly onFault: (fault: Error) => void
}

export class KeeperConnection {
  readonly #connection: Connection
  readonly #heads: Heads
  readonly #faults: ToldFaults

  /** Connects at once. @param onUsable called whenever the server can be asked, or not any more. @param onSuspect called if another server answers. */
  constructor(parts: KeeperConnectionParts, onUsable: (usable: boolean) => void, onSuspect: () => void) {
    const { source, clock, timeout, owner, prefix, onFault } = parts
    const connection = new Connection({ source, clock, timeout, owner, role: 'keeper', credentials: undefined })
    this.#connection = connection
    this.#heads = new Heads(connection.keyPrefix + prefix)
    this.#faults = new ToldFaults({ onError: onFault })
    connection.on('usable', (arrival) => {
      onUsable(true)
      if (arrival === 'other') onSuspect()
    })
    connection.on('unusable', () => onUsable(false))
    connection.on('fault', onFault)
    reconnectByAddress(connection, parts.isSilent)
    connection.start()
  }

  /** See `Backend.ready`. */
  ready(): Promise<void> | undefined {
    return this.#connection.ready()
  }

  /** Sends before it returns. Never rejects. */
  renew(entries: readonly LockEntry[]): Promise<readonly ChangeOutcome[]> {
    const call = callOf(SCRIPTS.renew, this.#heads, entries, ttlsOf(entries))
    const answer = this.#connection.send(wholeCommand(SCRIPTS.renew, call))
    this.#connection.flush()
    return answer.then(
      (reply) => {
        this.#connection.onAnswered()
        this.#faults.onAnswered('renew')
        return changeOutcomes(reply, entries.length)
      },
      (thrown: unknown) => {
        const error = isReply(thrown) ? thrown : this.#connection.explain(thrown)
        if (isReply(error)) this.#faults.onRefused('renew', error, explainReply(error))
        return entries.map(() => ({ type: 'unknown', error }) as const)
      },
    )
  }

  close(): Promise<void> {
    return this.#connection.close()
  }
}

/** Whether one of the keys of a request may be why the server refused all of it. */
export function mayBeOneKey(error: Error): boolean {
  return isReply(error) && ['key', 'unclear'].includes(kindOf(error))
}

function reconnectByAddress({ client }: Connection, isSilent: () => boolean): void {
  const { options, beforeConnect } = client
  const { host, tls } = options
  let address: string | undefined
  client.on('connect', () => {
    address = client.stream.remoteAddress
  })
  client.beforeConnect = () => {
    const isByAddress = address !== undefined && isSilent()
    options.host = isByAddress ? address : host
    // The certificate is that of the name.
    if (tls) options.tls = isByAddress && host !== undefined ? { servername: host, ...tls } : tls
    return beforeConnect?.()
  }
}
