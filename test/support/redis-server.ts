/**
 * A real Redis (or Valkey) server of one's own: on a free port of 127.0.0.1, with its data in a temporary folder, and
 * gone when this process ends in any way it can notice. It can be killed, restarted and frozen.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { findServerBinary } from './server-binary.ts'

export { findServerBinary } from './server-binary.ts'

/**
 * Below every system's range for outgoing connections, which begins at 32768 (Linux) or 49152. In that range a client
 * that knocks on a dead server's port can be given this very port and connect to itself, and the server never gets it
 * back. A cluster's bus, at port + 10,000, still ends below that range as well.
 */
const FIRST_PORT = 10_000
const PORTS = 12_000
const PORT_ATTEMPTS = 20
/** What a server may take to shut down in an orderly way, in ms. */
const SHUTDOWN_BUDGET = 5_000
/** Characters of the server's own log that an error quotes. */
const LOG_LENGTH = 4_000

export interface ServerOptions {
  /** More arguments for the server; they come last, so they win: `['--maxmemory', '10mb']`. Give a password by `password`. */
  readonly args?: readonly string[]
  /**
   * What outlives `kill()` and `restart()`. `none` (default): nothing. `aof`: every write that was answered. `rdb`: what
   * was there at the last orderly stop, as `restart()` makes one, or at the last `SAVE`.
   */
  readonly persistence?: 'none' | 'aof' | 'rdb'
  readonly password?: string
  /** The program is to be a Sentinel, with these lines in its configuration; `args` and `persistence` are not for it. */
  readonly sentinel?: readonly string[]
}

/** One line of `INFO commandstats`. */
export interface CommandStatistics {
  readonly calls: number
  /** Calls that were not even begun: the server was busy, the client had no right. */
  readonly rejected: number
  /** µs of the server's CPU, all calls together. */
  readonly microseconds: number
}

export class RedisServer {
  static readonly #running = new Set<RedisServer>()
  static #isWatchingExit = false

  readonly port: number
  /** The data folder. It goes with `stop()`. */
  readonly directory: string = mkdtempSync(join(tmpdir(), 'leasewheel-redis-'))
  readonly #options: ServerOptions
  readonly #client: Redis
  #child: ChildProcess | undefined
  #exited: Promise<unknown> = Promise.resolve()
  #log = ''
  #isPaused = false
  #isStopped = false

  private constructor(port: number, options: ServerOptions) {
    this.port = port
    this.#options = options
    this.#client = new Redis({
      host: '127.0.0.1',
      port,
      ...(options.password === undefined ? {} : { password: options.password }),
      lazyConnect: true,
      // A command waits for as long as its server is away; `#untilReady` asks about loading itself.
      maxRetriesPerRequest: null,
      enableReadyCheck: false,
      retryStrategy: () => 20,
    })
    // Without a listener ioredis prints every refused connection of a killed server.
    this.#client.on('error', () => {})
    RedisServer.#running.add(this)
    RedisServer.#watchExit()
  }

  /** Starts a server and waits until it answers. */
  static async start(options: ServerOptions = {}): Promise<RedisServer> {
    for (let attempt = 1; ; attempt++) {
      const server = new RedisServer(await freePort(), options)
      try {
        await server.#launch()
        return server
      } catch (error) {
        await server.stop()
        const isSnatched = server.#log.includes('Address already in use')
        if (!isSnatched || attempt === PORT_ATTEMPTS) throw error
      }
    }
  }

  /** Stops every server that this process has not stopped yet, and says on which ports they were. */
  static async stopAll(): Promise<readonly number[]> {
    const servers = [...RedisServer.#running]
    await Promise.all(servers.map((server) => server.stop()))
    return servers.map(({ port }) => port)
  }

  get url(): string {
    const { password } = this.#options
    const credentials = password === undefined ? '' : `:${encodeURIComponent(password)}@`
    return `redis://${credentials}127.0.0.1:${this.port}`
  }

  /** The process now behind the port; another one after a `restart()`. */
  get pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error('The server was never started')
    return pid
  }

  /** Whether the process runs and is not frozen. */
  get isRunning(): boolean {
    const child = this.#child
    return child !== undefined && !this.#isPaused && child.exitCode === null && child.signalCode === null
  }

  /** Ends the server and removes its data. Pending commands are rejected. Repeatable. */
  async stop(): Promise<void> {
    this.#discard()
    await this.#exited
    this.#removeDirectory()
  }

  /** A crash: SIGKILL, and waits until the process is gone. Works on a paused server too. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#exited
  }

  /** Starts the server again on its port and its data, after an orderly stop if it still runs, and waits until it answers. */
  async restart(): Promise<void> {
    if (this.#isStopped) throw new Error('The server was stopped for good; start another one')
    this.resume()
    this.#child?.kill('SIGTERM')
    const budget = new AbortController()
    await Promise.race([
      this.#exited,
      setTimeout(SHUTDOWN_BUDGET, undefined, { signal: budget.signal }).catch(() => undefined),
    ])
    budget.abort()
    await this.kill()
    await this.#launch()
  }

  /** Freezes the process (SIGSTOP): connections stay open, nothing is answered. */
  pause(): void {
    this.#isPaused = true
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#isPaused = false
    this.#child?.kill('SIGCONT')
  }

  /** Sends one command on the server's own connection. Waits while the server is paused or being restarted. */
  command(name: string, ...args: readonly (string | number)[]): Promise<unknown> {
    return this.#client.call(name, ...args)
  }

  /** The fields of `INFO`, or of one of its sections. */
  async info(section = 'default'): Promise<ReadonlyMap<string, string>> {
    const text = await this.#client.info(section)
    const lines = text.split('\r\n').filter((line) => line.includes(':'))
    return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
  }

  /** What ran since the start or the last `CONFIG RESETSTAT`, by the command's name in lower case (`get`, `client|id`). */
  async commandStats(): Promise<ReadonlyMap<string, CommandStatistics>> {
    const fields = [...(await this.info('commandstats'))]
    return new Map(
      fields.map(([field, value]) => {
        const numbers = new Map(value.split(',').map((pair) => pair.split('=') as [string, string]))
        const calls = Number(numbers.get('calls'))
        const rejected = Number(numbers.get('rejected_calls'))
        return [field.replace('cmdstat_', ''), { calls, rejected, microseconds: Number(numbers.get('usec')) }]
      }),
    )
  }

  async #launch(): Promise<void> {
    const child = spawn(findServerBinary(), this.#arguments(), { stdio: ['ignore', 'pipe', 'pipe'] })
    const keep = (text: string): void => {
      this.#log = (this.#log + text).slice(-LOG_LENGTH)
    }
    child.stdout.setEncoding('utf8').on('data', keep)
    child.stderr.setEncoding('utf8').on('data', keep)
    this.#log = ''
    this.#child = child
    // `close`, not `exit`: the log is complete only then.
    this.#exited = once(child, 'close').catch(keep)
    const gone = this.#exited.then(() => {
      throw new Error(`The Redis server on port ${this.port} ended before it was ready:\n${this.#log}`)
    })
    await Promise.race([this.#untilReady(child), gone])
  }

  /** The process id is compared because another server may have taken the port just before ours could. */
  async #untilReady(child: ChildProcess): Promise<void> {
    for (;;) {
      const info = await this.info()
      // A Sentinel has no data, and does not say that it has loaded any.
      if (info.get('process_id') === String(child.pid) && (info.get('loading') ?? '0') === '0') return
      await setTimeout(5)
    }
  }

  #arguments(): string[] {
    const { args = [], persistence = 'none', password, sentinel } = this.#options
    if (sentinel !== undefined) return this.#sentinelArguments(sentinel)
    const settings: Readonly<Record<string, string>> = {
      bind: '127.0.0.1',
      port: String(this.port),
      dir: this.directory,
      daemonize: 'no',
      save: persistence === 'rdb' ? '3600 1' : '',
      appendonly: persistence === 'aof' ? 'yes' : 'no',
      // Otherwise a write may be answered before it is in the file, and `kill()` would lose it.
      appendfsync: 'always',
      ...(hasDebugSwitch() ? { 'enable-debug-command': 'local' } : {}),
      ...(password === undefined ? {} : { requirepass: password }),
    }
    return [...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]), ...args]
  }

  /** A Sentinel writes to its file all the time. After a restart it is to read there what it knew. */
  #sentinelArguments(lines: readonly string[]): string[] {
    const file = join(this.directory, 'sentinel.conf')
    const own = [`port ${this.port}`, 'bind 127.0.0.1', `dir ${this.directory}`]
    if (!existsSync(file)) writeFileSync(file, [...own, ...lines, ''].join('\n'))
    return [file, '--sentinel']
  }

  /** All of `stop()` that can be done at once, as an `exit` listener must. */
  #discard(): void {
    this.#isStopped = true
    RedisServer.#running.delete(this)
    this.#client.disconnect()
    this.#child?.kill('SIGKILL')
  }

  #removeDirectory(): void {
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 })
  }

  static #discardAll(): void {
    for (const server of RedisServer.#running) {
      server.#discard()
      server.#removeDirectory()
    }
  }

  static #watchExit(): void {
    if (RedisServer.#isWatchingExit) return
    RedisServer.#isWatchingExit = true
    process.on('exit', () => RedisServer.#discardAll())
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      const end = (): void => {
        // Whoever else listens wants to end in an orderly way, with the server still there; `exit` follows then.
        if (process.listenerCount(signal) > 1) return
        RedisServer.#discardAll()
        process.off(signal, end)
        process.kill(process.pid, signal)
      }
      process.on(signal, end)
    }
  }
}

/** Runs `callback` with a server of its own, which is stopped afterwards whatever happened. */
export async function withRedis<T>(
  callback: (server: RedisServer) => Promise<T>,
  options: ServerOptions = {},
): Promise<T> {
  const server = await RedisServer.start(options)
  try {
    return await callback(server)
  } finally {
    await server.stop()
  }
}

let debugSwitch: boolean | undefined

/** Redis 7 locked `DEBUG` away behind a switch that older servers refuse to start with. Valkey began later, with the switch. */
function hasDebugSwitch(): boolean {
  if (debugSwitch === undefined) {
    const { stdout } = spawnSync(findServerBinary(), ['--version'], { encoding: 'utf8' })
    debugSwitch = Number(/ v=(\d+)\./.exec(stdout)?.[1] ?? 0) >= 7
  }
  return debugSwitch
}

async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORTS)
    if (await isFree(port)) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1' }, () => probe.close(() => resolve(true)))
  })
}
