/** One node that serves slots: our connections to it, and whether it answers. */
import type { Redis } from 'ioredis'
import type { BackendListener, BackendSettings, RouteView } from '../../backend.ts'
import { UnavailableError } from '../../errors.ts'
import { type Clock, SystemClock, type Timer } from '../../time/clock.ts'
import type { Connection } from '../connection.ts'
import { ConnectionPair } from '../connection-pair.ts'
import { Readiness } from '../readiness.ts'
import { explainReply, isReply } from '../reply-fault.ts'
import { AwaitedSuccess, type AwaitedReply, type Leading, ReplyGroup } from '../reply-group.ts'
import { type Call, type Script, ScriptRunner } from '../script.ts'
import { EncodedCommand, encode, encodeCommand } from '../encoded-command.ts'
import { ToldFaults } from '../told-faults.ts'
import type { Tracking } from '../tracking.ts'

/** ms without an answer after which we ask others for the map, at most: a failover may take less than the timeout of a request. */
const LONGEST_SILENCE = 500

const ASKING = encode('*1', [{ texts: ['asking'] }])
const ignore = (): void => undefined
/** If the node refuses it, the call behind it is answered with MOVED. */
const ASKING_FIRST: Leading = { lead: { wire: ASKING, awaited: () => new AwaitedSuccess('asking', ignore) } }

export interface NodeParts {
  readonly route: number
  /** `host:port` */
  readonly name: string
  readonly host: string
  readonly model: Redis
  readonly settings: BackendSettings
  readonly listener: BackendListener
  /** The node can be asked from now on. */
  readonly onUsable: (node: ClusterNode) => void
  /** The node is away, or has been silent for some time. */
  readonly onTrouble: (node: ClusterNode) => void
}

/** What goes before a script: nothing, CLIENT CACHING YES, or ASKING. The two cancel each other, so a redirected call watches nothing. */
export type Before = 'nothing' | 'watch' | 'asking'

export class ClusterNode {
  readonly route: number
  readonly name: string
  readonly host: string
  readonly pair: ConnectionPair
  readonly faults: ToldFaults
  readonly #runner: ScriptRunner
  readonly #clock: Clock
  /** ms. */
  readonly #patience: number
  readonly #onTrouble: (node: ClusterNode) => void
  readonly #readiness = new Readiness()
  #awaitingReady = false
  /** ms on the clock; the longer it has been usable, the better the node knows the cluster. */
  usableSince: number = Number.POSITIVE_INFINITY
  /** Requests under way, and when the oldest one was sent or the last answer came. */
  #underWay = 0
  #silentSince: number
  #watchdog: Timer | undefined
  #silent = false
  #referenced = true

  constructor({ route, name, host, model, settings, listener, onUsable, onTrouble }: NodeParts) {
    const { clock = new SystemClock(), timeout } = settings
    this.route = route
    this.name = name
    this.host = host
    this.#clock = clock
    this.#patience = Math.min(timeout, LONGEST_SILENCE)
    this.#silentSince = clock.now()
    this.#onTrouble = onTrouble
    this.pair = new ConnectionPair(model, settings, listener, 'node')
    this.faults = new ToldFaults(listener)
    this.#runner = new ScriptRunner(this.pair.commands)
    this.pair.commands.on('usable', () => {
      this.usableSince = clock.now()
      onUsable(this)
    })
    for (const event of ['unusable', 'failed'] as const) {
      this.pair.commands.on(event, () => {
        this.usableSince = Number.POSITIVE_INFINITY
        onTrouble(this)
      })
    }
  }

  /** ms since the last request or answer. */
  get idleFor(): number {
    return this.#clock.now() - this.#silentSince
  }

  /** Whether it can be asked, and has answered lately. */
  get sound(): boolean {
    return this.pair.commands.usable && !this.#silent
  }

  get tracking(): Tracking | undefined {
    return this.pair.tracking
  }

  get fault(): Error | undefined {
    return this.pair.fault
  }

  get view(): RouteView {
    const { commands, tracking } = this.pair
    return { route: this.route, name: this.name, usable: commands.usable, watching: tracking?.active ?? false }
  }

  /** Whether there is a connection, or when there is one. See `Connection.ready`. */
  connected(): Promise<void> | undefined {
    return this.pair.commands.ready()
  }

  /** See `Backend.ready`. It also settles once the node serves nothing any more. */
  ready(): Promise<void> | undefined {
    const { commands } = this.pair
    if (commands.usable) return undefined
    if (!this.#awaitingReady) {
      this.#awaitingReady = true
      void Promise.resolve(commands.ready()).then(
        () => this.#settleReady(),
        (error: unknown) => this.#settleReady(this.explain(error)),
      )
    }
    return this.#readiness.next
  }

  /** The node serves nothing any more: requests for its slots are for others. */
  dismiss(): void {
    this.#readiness.settle()
  }

  knows(script: Script): boolean {
    return this.#runner.knows(script)
  }

  /** Runs a script for the keys of one slot. @throws the error reply of the server, or the error of a broken connection. */
  async run(script: Script, call: Call, before: Before): Promise<unknown> {
    this.#onAsked()
    const { tracking } = this
    const leading = before === 'asking' ? ASKING_FIRST : before === 'watch' ? tracking : undefined
    try {
      return await this.#runner.run(script, call, leading)
    } finally {
      this.#onAnswered()
    }
  }

  /** Runs a script that the server knows for the keys of several slots. @param wire all calls. @returns the answers, or errors. */
  async runAll(wire: Buffer, count: number, watched: boolean): Promise<readonly unknown[]> {
    this.#onAsked()
    const group = new ReplyGroup(count)
    const awaited: AwaitedReply[] = []
    for (let index = 0; index < count; index += 1) {
      if (watched) awaited.push(this.tracking?.awaitCaching() ?? new AwaitedSuccess('client', ignore))
      awaited.push(group.at(index))
    }
    this.pair.commands.client.sendAll(wire, awaited)
    try {
      return await group.promise
    } finally {
      this.#onAnswered()
    }
  }

  /** Another command. @param asking whether the key's slot is on its way to this node. */
  command(name: string, args: readonly string[], asking = false): Promise<unknown> {
    return this.send(new EncodedCommand(name, encodeCommand(name, args)), asking)
  }

  /** As `command`, encoded already. */
  send(command: EncodedCommand, asking = false): Promise<unknown> {
    return this.ask((commands) => {
      // If the node refuses it, the command behind it is answered with MOVED.
      if (asking) commands.send(new EncodedCommand('asking', ASKING)).catch(ignore)
      return commands.send(command)
    })
  }

  /** Any request. @param send sends it. */
  async ask<T>(send: (commands: Connection) => Promise<T>): Promise<T> {
    this.#onAsked()
    try {
      return await send(this.pair.commands)
    } finally {
      this.#onAnswered()
    }
  }

  /** The error for a failed request. It names the node. */
  explain(thrown: unknown, key?: string): Error {
    const error = isReply(thrown) ? explainReply(thrown, key) : this.pair.commands.explain(thrown)
    return new UnavailableError(`Node ${this.name}: ${error.message}`, key, { cause: error })
  }

  unref(): void {
    this.#referenced = false
    this.#watchdog?.unref?.()
    this.pair.unref()
  }

  async close(): Promise<void> {
    this.#watchdog?.cancel()
    await this.pair.close()
    this.#readiness.settle(new UnavailableError('The connection to Redis is closed'))
  }

  #settleReady(error?: Error): void {
    this.#awaitingReady = false
    this.#readiness.settle(error)
  }

  #onAsked(): void {
    void this.pair.onAsked()
    if (this.#underWay === 0) this.#silentSince = this.#clock.now()
    this.#underWay += 1
    if (this.#watchdog === undefined) this.#watch(this.#patience)
  }

  #onAnswered(): void {
    this.#underWay -= 1
    this.#silentSince = this.#clock.now()
    this.#silent = false
  }

  /** One timer for all requests: it goes on while any is under way. @param delay ms. */
  #watch(delay: number): void {
    this.#watchdog = this.#clock.setTimer(() => {
      this.#watchdog = undefined
      if (this.#underWay === 0) return
      const left = this.#silentSince + this.#patience - this.#clock.now()
      if (left <= 0) {
        this.#silent = true
        this.#onTrouble(this)
      }
      this.#watch(left > 0 ? left : this.#patience)
    }, delay)
    if (!this.#referenced) this.#watchdog.unref?.()
  }
}
