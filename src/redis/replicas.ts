/**
 * Asks a server whether enough of its replicas have acknowledged all that it has carried out, by WAIT. That blocks a connection, and counts only
 * what the same connection wrote last. So it has a connection of its own, and a write of its own before it: what the server carried out earlier, for
 * whomever, comes earlier in the stream that replicas acknowledge.
 *
 * One WAIT is under way at a time. Who asks meanwhile shares the next one: no replica acknowledges a later write before an earlier one.
 */
import type { BackendListener } from '../backend.ts'
import { UnavailableError } from '../errors.ts'
import { type Clock, nextTurn } from '../time/clock.ts'
import { Connection } from './connection.ts'
import type { ConnectionParts } from './connection-options.ts'
import { encodeCommand } from './encoded-command.ts'
import { codeOf, explainReply, isReply } from './reply-fault.ts'
import { ReplyGroup } from './reply-group.ts'
import { isAnythingWritten, type Outcome, unacknowledged } from './unacknowledged.ts'

/**
 * KEYS: a fence counter. Writes what it is. GETEX comes first, because a server without memory refuses only the first write of a script, and renewals
 * go on there.
 */
const REWRITE = `
local fence = redis.call('GETEX', KEYS[1]) or '0'
redis.call('SET', KEYS[1], fence)
return 1
`

/** How many fence counters are tried until the server accepts the write: their slots may be on the move. */
const MOST_KEYS = 4

/** What was asked together. */
interface Question {
  /** Fence counters that the server may have. */
  readonly keys: Set<string>
  readonly answer: Promise<Answer>
}

type Answer = { readonly runId: string | undefined; readonly acknowledged: number } | Error

export class Replicas {
  readonly #connection: Connection
  readonly #commands: Connection
  readonly #clock: Clock
  /** How many have to acknowledge. */
  readonly #count: number
  /** How long a WAIT may take, in ms. */
  readonly #limit: number
  /** A fence counter that the server had last. */
  #key: string | undefined
  #next: Question | undefined
  #last: Promise<unknown> = Promise.resolve()
  #fault: Error | undefined
  #closed = false

  /** @param commands the connection of the locks. @param count how many replicas have to acknowledge. */
  constructor(parts: ConnectionParts, commands: Connection, count: number, listener: BackendListener) {
    this.#commands = commands
    this.#clock = parts.clock
    this.#count = count
    this.#limit = Math.max(Math.floor(parts.timeout / 4), 1)
    const connection = new Connection({ ...parts, role: 'replicas' })
    this.#connection = connection
    // If the connection of the locks has failed, too, only that fault is reported.
    connection.on('fault', (error) => {
      if (!commands.usable) connection.forgetFault(error)
      else if (!this.#closed) listener.onError(error)
    })
    // As the connection of the notifications: if a server has room for one client only, locks come first.
    commands.on('usable', (arrival) => {
      if (arrival === 'other') connection.leave()
      connection.start()
    })
    commands.on('failed', () => connection.stop())
  }

  /**
   * Sends a request, and waits for the replicas if that wrote anything that counts.
   *
   * @param ask sends it at once. @param keys fence counters of which the server has one at least. @returns its outcomes; those that the replicas have
   * not acknowledged in time are unknown.
   */
  async confirm<O extends Outcome>(ask: () => Promise<readonly O[]>, keys: readonly string[]): Promise<readonly O[]> {
    const { server } = this
    const outcomes = await ask()
    if (!isAnythingWritten(outcomes)) return outcomes
    const fault = await this.faultSince(server, keys)
    return fault ? outcomes.map((outcome) => unacknowledged(outcome, fault)) : outcomes
  }

  /** Why the last request was not confirmed; undefined if it was. */
  get fault(): Error | undefined {
    return this.#fault
  }

  /** The server that a request which is sent now reaches: see `faultSince`. */
  get server(): string | undefined {
    return this.#commands.runId
  }

  /**
   * Waits for the replicas. @param server where the writes were that should be acknowledged. @param keys see `confirm`.
   * @returns undefined if enough replicas have all that the server wrote before this call; otherwise why that is not known.
   */
  async faultSince(server: string | undefined, keys: readonly string[]): Promise<Error | undefined> {
    this.#fault = server === undefined ? ANONYMOUS : await this.#faultOf(server, keys)
    return this.#fault
  }

  /** See `Connection.follow`. */
  follow(address: string): void {
    this.#connection.follow(address)
  }

  /** See `Connection.unref`. */
  unref(): void {
    this.#connection.unref()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#connection.close()
  }

  async #faultOf(server: string, keys: readonly string[]): Promise<Error | undefined> {
    const answer = await this.#ask(keys)
    if (answer instanceof Error) return answer
    if (answer.runId !== server) return OTHER_SERVER
    if (answer.acknowledged >= this.#count) return undefined
    return new UnavailableError(
      `the replicas did not acknowledge it within ${this.#limit} ms (${this.#count} asked for, ${answer.acknowledged} did)`,
    )
  }

  #ask(keys: readonly string[]): Promise<Answer> {
    if (this.#next) {
      for (const key of keys) this.#next.keys.add(key)
      return this.#next.answer
    }
    const all = new Set(keys)
    // The answers of one turn are confirmed together.
    const answer = Promise.all([this.#last, nextTurn(this.#clock)]).then(() => {
      this.#next = undefined
      return this.#waitFor(all)
    })
    this.#next = { keys: all, answer }
    this.#last = answer
    return answer
  }

  /** Never rejects. */
  async #waitFor(keys: ReadonlySet<string>): Promise<Answer> {
    try {
      await this.#connection.ready()
      // A name may still have led to the old server.
      if (this.#commands.runId !== undefined && this.#commands.runId !== this.#connection.runId) {
        this.#connection.leave()
        return OTHER_SERVER
      }
      const answer = await this.#write(this.#key === undefined ? keys : new Set([this.#key, ...keys]))
      this.#connection.onAnswered()
      return answer
    } catch (error) {
      const { message } = isReply(error) ? explainReply(error) : this.#connection.explain(error)
      return new UnavailableError(`the replicas could not be asked whether they have it: ${message}`, undefined, {
        cause: error,
      })
    }
  }

  /** Rewrites the first counter that the server has, and waits for the replicas. */
  async #write(keys: ReadonlySet<string>): Promise<Answer> {
    for (const key of [...keys].slice(0, MOST_KEYS)) {
      const { runId } = this.#connection
      const [written, acknowledged] = await this.#send(key)
      // Without the write, WAIT counts an earlier one.
      if (isReply(written) && isElsewhere(written)) continue
      if (written instanceof Error) throw written
      if (acknowledged instanceof Error) throw acknowledged
      this.#key = key
      return { runId, acknowledged: acknowledged as number }
    }
    this.#key = undefined
    throw NO_SLOT
  }

  /** Sends both in one write. The script goes whole: a second attempt after NOSCRIPT would come behind the WAIT. */
  async #send(key: string): Promise<readonly unknown[]> {
    const group = new ReplyGroup(2)
    const wire = Buffer.concat([
      encodeCommand('eval', [REWRITE, '1', key]),
      encodeCommand('wait', [String(this.#count), String(this.#limit)]),
    ])
    this.#connection.client.sendAll(wire, [group.at(0), group.at(1)])
    return group.promise
  }
}

const ANONYMOUS = new UnavailableError(
  'the replicas could not be asked whether they have it: the server does not say by INFO which one it is',
)
const OTHER_SERVER = new UnavailableError('another server had taken over before the replicas acknowledged it')
const NO_SLOT = new UnavailableError('the node serves none of the slots')

/** Whether another node has the key, or will have it soon. */
function isElsewhere(reply: Error): boolean {
  return ['MOVED', 'ASK', 'TRYAGAIN'].includes(codeOf(reply))
}
