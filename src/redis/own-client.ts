/**
 * An ioredis client of our own: it never queues, never resends, takes new credentials before each connection, and
 * reads what lies in its socket before it gives a silent connection up.
 */
import { type Command, Redis, type RedisOptions } from 'ioredis'
import { isReply, kindOf } from './reply-fault.ts'

type Options = Omit<RedisOptions, 'replyMapping'>

export class OwnClient extends Redis {
  /** What the server says of itself, before it is asked anything else; nothing if it may not be asked. It may still have to load its data. */
  onGreeting: ((info: string) => void) | undefined = undefined
  /** Called before each connection; the next one waits for it. */
  beforeConnect: (() => Promise<void> | undefined) | undefined = undefined
  /** Keeps what is written to it, until the end of this turn of the event loop. */
  #corked: Redis['stream'] | undefined

  constructor(options: Options) {
    super({ ...options, lazyConnect: true })
    this.on('connect', () => readBeforeGivingUp(this))
    this.#listenToReadyCheck()
    // ioredis 5 forgets it here; it would end the next connection, and keep the process alive.
    this.on('close', () => {
      const silence = this as unknown as { socketTimeoutTimer?: NodeJS.Timeout | undefined }
      silence.socketTimeoutTimer?.close()
      silence.socketTimeoutTimer = undefined
    })
  }

  /**
   * ioredis asks INFO before it says that a connection is ready, and of ioredis 5 no other way survives a connection that is closed meanwhile: it
   * takes the dead one for ready, for good. What it hears is heard here, too; a server that may not be asked is as good as any other.
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
   * Sends a command. What is sent in one turn of the event loop leaves in one write, so that a server finds it together and answers it
   * together: each time that either side has to wake up costs more than a command does. Unless it is `flush`ed before.
   */
  async sendTogether(command: Command): Promise<unknown> {
    const { stream } = this
    if (this.#corked !== stream && this.status === 'ready') {
      this.#corked = stream
      stream.cork()
      process.nextTick(() => {
        if (this.#corked === stream) this.flush()
      })
    }
    return this.sendCommand(command)
  }

  /** What has been sent leaves now. */
  flush(): void {
    this.#corked?.uncork()
    this.#corked = undefined
  }

  /** The pause before the next attempt to connect does not keep the process alive. */
  unrefReconnection(): void {
    const { reconnectTimeout } = this as unknown as { reconnectTimeout?: NodeJS.Timeout | null }
    reconnectTimeout?.unref()
  }

  /** Goes to another server: the connection is dropped, or an attempt to make one is. Another one is made soon. */
  leave(): void {
    // Between two attempts nothing has to be dropped: the next one is made now.
    if (this.status === 'reconnecting') this.connect().catch(() => undefined)
    else if (this.stream && !this.stream.destroyed) this.stream.destroy()
  }
}

/**
 * ioredis gives a silent connection up when a timer fires, and after the event loop was blocked that timer fires before the answers that lie in the socket
 * are read. So the first time nothing is done but to set it again, and by the second whatever was there has been read.
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
    // ioredis forgets its timer right after this.
    process.nextTick(() => {
      if (!stream.destroyed) (Reflect.get(client, 'setSocketTimeout') as () => void).call(client)
    })
    return stream
  }
}
