/**
 * Listens to the Sentinels of a server until they name another one. After a planned failover the old server takes writes for
 * another ten seconds and keeps its connections, and all those writes are lost. Only the Sentinels tell a client to leave.
 *
 * One write asks each Sentinel for the address and subscribes to it, so that no switch falls between the two. We believe the first Sentinel that
 * names another address than before; the others follow within a second or two.
 */
import { Redis, type RedisOptions, type SentinelAddress } from 'ioredis'

const CHANNEL = '+switch-master'
/** The largest number of Sentinels to listen to. */
const MOST_SENTINELS = 10
const LONGEST_RECONNECT_DELAY = 1_000

export class SentinelWatch {
  readonly #options: RedisOptions
  readonly #timeout: number
  readonly #onSwitch: (address: string) => void
  /** By address. */
  readonly #clients = new Map<string, Redis>()
  /** The address that each Sentinel named last, by the address of the Sentinel. */
  readonly #said = new Map<string, string>()
  #referenced = true
  #closed = false

  /**
   * @param options the options of a client behind Sentinel. @param timeout ms that connecting to a Sentinel may take; at least 1,000.
   * @param onSwitch called with the address of the new server, `host:port`, as the Sentinels name it.
   */
  private constructor(options: RedisOptions, timeout: number, onSwitch: (address: string) => void) {
    this.#options = options
    this.#timeout = timeout
    this.#onSwitch = onSwitch
    for (const sentinel of options.sentinels ?? []) this.#listenTo(sentinel)
  }

  /** @returns undefined for a client that is not behind Sentinel. */
  static of(options: RedisOptions, timeout: number, onSwitch: (address: string) => void): SentinelWatch | undefined {
    return options.sentinels && options.name ? new SentinelWatch(options, timeout, onSwitch) : undefined
  }

  close(): void {
    this.#closed = true
    for (const client of this.#clients.values()) client.disconnect()
  }

  /** From now on the connections do not keep the process alive. */
  unref(): void {
    this.#referenced = false
    for (const { stream } of this.#clients.values()) stream?.unref?.()
  }

  #listenTo({ host = '127.0.0.1', port = 26_379, family }: Partial<SentinelAddress>): void {
    const at = `${host}:${port}`
    if (this.#closed || this.#clients.has(at) || this.#clients.size >= MOST_SENTINELS) return
    const { sentinelUsername, sentinelPassword, sentinelTLS, family: usualFamily } = this.#options
    const client = new Redis({
      host,
      port,
      ...((family ?? usualFamily) === undefined ? {} : { family: family ?? usualFamily }),
      ...(sentinelUsername ? { username: sentinelUsername } : {}),
      ...(sentinelPassword ? { password: sentinelPassword } : {}),
      ...(sentinelTLS ? { tls: sentinelTLS } : {}),
      protocol: 2,
      connectionName: 'leasewheel:sentinel',
      enableReadyCheck: false,
      enableOfflineQueue: false,
      autoResubscribe: false,
      maxRetriesPerRequest: 0,
      connectTimeout: Math.max(this.#timeout, 1_000),
      disconnectTimeout: 100,
      keepAlive: 10_000,
      retryStrategy: (attempts) => Math.min(50 * 2 ** Math.min(attempts, 10), LONGEST_RECONNECT_DELAY),
    })
    this.#clients.set(at, client)
    // An unreachable Sentinel does not matter while the server can be reached. If neither can be, the connections report it.
    client.on('error', () => undefined)
    client.on('message', (_channel: string, message: string) => {
      const [name, , , newHost, newPort] = message.split(' ')
      if (name === this.#options.name) this.#onSaid(at, `${newHost}:${newPort}`)
    })
    client.on('connect', () => {
      if (!this.#referenced) client.stream.unref()
    })
    client.on('ready', () => void this.#ask(at, client))
  }

  async #ask(at: string, client: Redis): Promise<void> {
    const { name } = this.#options
    try {
      const [address, others] = await Promise.all([
        client.call('SENTINEL', 'get-master-addr-by-name', name as string),
        client.call('SENTINEL', 'sentinels', name as string),
        client.subscribe(CHANNEL),
      ])
      if (Array.isArray(address)) this.#onSaid(at, `${String(address[0])}:${String(address[1])}`)
      if (Array.isArray(others)) for (const other of others) this.#learnOf(other)
    } catch {
      // The Sentinel went away, or does not know the name. It is asked again at the next connection.
    }
  }

  #learnOf(sentinel: unknown): void {
    if (!Array.isArray(sentinel) || this.#options.updateSentinels === false) return
    const field = (name: string): string => String(sentinel[sentinel.indexOf(name) + 1])
    if (/disconnected/.test(field('flags'))) return
    const address = { host: field('ip'), port: Number(field('port')) }
    const { natMap } = this.#options
    const key = `${address.host}:${address.port}`
    this.#listenTo((typeof natMap === 'function' ? natMap(key) : natMap?.[key]) ?? address)
  }

  #onSaid(at: string, address: string): void {
    const before = this.#said.get(at)
    this.#said.set(at, address)
    if (before !== undefined && before !== address && !this.#closed) this.#onSwitch(address)
  }
}
