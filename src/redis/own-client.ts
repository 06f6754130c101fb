/**
 * An ioredis client of our own. It never queues, never resends, and takes new credentials before each connection. It reads
 * its socket before it gives up a silent connection.
 */
import { type Command, Redis, type RedisOptions } from 'ioredis'
import { isReply, kindOf } from './reply-fault.ts'
import { type AwaitedReply, type Lead, SingleReply } from './reply-group.ts'

/** A stream for ioredis to write what another command has taken along. */
const SINK = { write: (): void => undefined } as unknown as NonNullable<Parameters<Redis['sendCommand']>[1]>

type Options = Omit<RedisOptions, 'replyMapping'>

export class OwnClient extends Redis {
  /** Called with the answer to INFO before any other request; with '' if the server refuses INFO. The server may still be loading its data. */
  onGreeting: ((info: string) => void) | undefined = undefined
  /** Called before each connection, which waits for the promise. */
  beforeConnect: (() => Promise<void> | undefined) | undefined = undefined
  /** The stream that is corked until the end of this turn of the event loop. */
  #corked: Redis['stream'] | undefined

  constructor(options: Options) {
    super({ ...options, lazyConnect: true })
    this.on('connect', () => readBeforeGivingUp(this))
    this.#listenToReadyCheck()
    // ioredis 5 forgets this timer at a close. It would end the next connection, and keep the process alive.
    this.on('close', () => {
      const silence = this as unknown as { socketTimeoutTimer?: NodeJS.Timeout | undefined }
      silence.socketTimeoutTimer?.close()
      silence.socketTimeoutTimer = undefined
    })
  }

  /**
   * ioredis sends INFO before it reports a connection as ready, and we read the same answer. With ioredis 5 no other way survives a connection
   * that closes meanwhile: it reports the dead one as ready, for good. A server that refuses INFO counts as any other.
   */
  #listenToReadyCheck(): void {
    const info = this.info.bind(this) as (...args: unknown[]) => Promise<string>
    const ask = (callback: (error: Error | null, text?: string) => void): Promise<void> =>
      info().then(
        (text) => {
          this.onGreeting?.(text)
          callback(null, text)
        },
        (error: Error) => {
          if (!isReply(error) || kindOf(error) === 'passing') {
            callback(error)
            return
          }
          this.onGreeting?.('')
          callback(null, '')
        },
      )
    const asked = (...args: unknown[]): unknown =>
      typeof args[0] === 'function' ? ask(args[0] as Parameters<typeof ask>[0]) : info(...args)
    Reflect.set(this, 'info', asked)
  }

  /** ioredis calls this itself when it reconnects. */
  override async connect(): Promise<void> {
    await this.beforeConnect?.()
    await super.connect()
  }

  /**
   * Sends a command. Commands of one turn of the event loop leave in one write, unless `flush` comes before. The server reads and answers them
   * together: a wake-up on either side costs more than a command.
   */
  async sendTogether(command: Command): Promise<unknown> {
    this.#cork()
    return this.sendCommand(command)
  }

  /** As `sendTogether`, for many calls. @param wire all of them. @param awaited takes the answers, in their order. */
  sendAll(wire: Buffer, awaited: readonly AwaitedReply[]): void {
    this.#cork()
    awaited.forEach((reply, index) => {
      reply.wire = wire
      // The first one takes everything to the socket. The others only wait in the queue of ioredis.
      void this.sendCommand(reply.command, index === 0 ? undefined : SINK)
    })
  }

  /** As `sendAll`, for one call: cheaper than a command of ioredis. @param lead goes before it. @returns its answer, with texts as strings. */
  sendOne(wire: Buffer, lead?: Lead): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const reply = new SingleReply(resolve, reject)
      // One write costs less than two.
      if (lead) this.sendAll(Buffer.concat([lead.wire, wire]), [lead.awaited(), reply])
      else this.sendAll(wire, [reply])
    })
  }

  #cork(): void {
    const { stream } = this
    if (this.#corked !== stream && this.status === 'ready') {
      this.#corked = stream
      stream.cork()
      process.nextTick(() => {
        if (this.#corked === stream) this.flush()
      })
    }
  }

  /** Writes all sent commands to the socket now. */
  flush(): void {
    this.#corked?.uncork()
    this.#corked = undefined
  }

  /** The current pause before a reconnection does not keep the process alive. */
  unrefReconnection(): void {
    const { reconnectTimeout } = this as unknown as { reconnectTimeout?: NodeJS.Timeout | null }
    reconnectTimeout?.unref()
  }

  /** Drops the connection, or the attempt to make one. ioredis soon makes another one. */
  leave(): void {
    // Between two attempts there is no connection to drop: make the next attempt now.
    if (this.status === 'reconnecting') this.connect().catch(() => undefined)
    else if (this.stream && !this.stream.destroyed) this.stream.destroy()
  }
}

/**
 * ioredis gives up a silent connection when a timer fires. After a blocked event loop that timer fires before Node reads the answers in the socket.
 * So the first time only sets the timer again; by the second time Node has read the socket.
 */
function readBeforeGivingUp(client: Redis): void {
  const { stream } = client
  const destroy = stream.destroy.bind(stream)
  let silent = false
  stream.on('data', () => {
    silent = false
  })
  stream.destroy = (error) => {
    if (silent || !error?.message.startsWith('Socket timeout')) return destroy(error)
    silent = true
    const timed = client as unknown as { socketTimeoutTimer?: NodeJS.Timeout | undefined }
    const timer = timed.socketTimeoutTimer
    // ioredis forgets its timer right after this. A new one would add a listener to the socket, which stays while requests are under way.
    process.nextTick(() => {
      if (!stream.destroyed) timed.socketTimeoutTimer = timer?.refresh()
    })
    return stream
  }
}
