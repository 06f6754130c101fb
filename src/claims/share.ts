/**
 * A member's part of some items: see `LeaseManager.share`. Each item is a key, and each key has one owner among the members of the group.
 *
 *     the members change ──▶ parts are reckoned anew ──▶ keys that others own are given back, once the work under them has ended
 *                                        └──▶ keys that this member owns are asked for: they come when their last owner gives them back
 *
 * Members may disagree for a moment about who is there. A key still has one owner at a time, because its lock decides.
 */
import type { Lease } from '../lease/lease.ts'
import { type Hashed, hashed, ownerOf } from '../rules/rendezvous.ts'
import { showInLogs } from '../show-in-logs.ts'
import { forEachIndex } from '../time/slices.ts'
import { Announcer } from './announcer.ts'
import { type ClaimEvents, gainedBy } from './claim.ts'
import { Group } from './group.ts'
import { Pursuit, type PursuitSettings } from './pursuit.ts'
import type { StandingPort } from './standing.ts'

/** This member holds its whole part, and nothing of the parts of others. It comes again after each change. */
export interface SettledEvent {
  /** How many members the group has. */
  readonly members: number
  /** How many keys this member holds. */
  readonly held: number
}

export interface ShareEvents extends ClaimEvents {
  settled: SettledEvent
}

export interface ShareSettings extends PursuitSettings {
  readonly group: string
  readonly owner: string
}

/** A member's part of some items. */
export class Share extends Announcer<ShareEvents> implements Iterable<Lease> {
  readonly group: string
  readonly #port: StandingPort
  readonly #items: readonly Hashed[]
  readonly #pursuit: Pursuit
  readonly #members: Group
  #ids: readonly string[] = []
  /** The members have changed since the parts were reckoned. */
  #stale = false
  #reckoning = false
  /** `settled` was emitted, and nothing has changed since. */
  #settled = false
  #closing: Promise<void> | undefined

  static {
    showInLogs(this.prototype, 'Share')
  }

  /** Only the manager makes shares. @internal */
  constructor(port: StandingPort, items: readonly string[], settings: ShareSettings) {
    super(port.report)
    this.group = settings.group
    this.#port = port
    this.#items = [...new Set(items)].map(hashed)
    this.#pursuit = new Pursuit(port, settings, {
      onGained: (tenure) => this.announce('gained', tenure, () => gainedBy(tenure)),
      onLost: (tenure, reason) => this.announce('lost', tenure, () => ({ lease: tenure.lease, reason })),
      onChanged: () => this.#onChanged(),
    })
    this.#members = new Group(port, settings, (ids) => {
      this.#ids = ids
      this.#stale = true
      this.#settled = false
      if (!this.#reckoning) void this.#reckon()
    })
  }

  /** How many keys this member holds. */
  get size(): number {
    return this.#pursuit.held
  }

  /** How many members the group has, as far as this one knows; 0 until the first answer. */
  get members(): number {
    return this.#ids.length
  }

  /** Whether this member holds its whole part, and nothing else. */
  get settled(): boolean {
    return this.#ids.length > 0 && !this.#stale && !this.#reckoning && this.#pursuit.settled
  }

  /** The lease on a key, if this member holds it. */
  get(key: string): Lease | undefined {
    return this.#pursuit.get(key)
  }

  /** The leases that this member holds. */
  [Symbol.iterator](): Iterator<Lease> {
    return this.#pursuit.leases()
  }

  /** Leaves the group, and gives back the keys: see `LostClaimEvent`. Others take them over at once. Resolves when all are released. Idempotent. */
  close(): Promise<void> {
    return this.#close()
  }

  /** @internal */
  onManagerClosing(reason: Error): Promise<void> {
    return this.#close(reason)
  }

  /** What a log shows of the share. */
  toJSON(): { readonly group: string; readonly held: number; readonly members: number; readonly settled: boolean } {
    const { group, size, members, settled } = this
    return { group, held: size, members, settled }
  }

  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #close(error?: Error): Promise<void> {
    this.#closing ??= this.#end(error)
    return this.#closing
  }

  async #end(error: Error | undefined): Promise<void> {
    // Others should want the keys by the time at which they are given back.
    await Promise.all([this.#members.leave(), this.#pursuit.close(error)])
    this.#port.onClosed(this)
  }

  async #reckon(): Promise<void> {
    this.#reckoning = true
    while (this.#stale && !this.#closing) {
      this.#stale = false
      const members = this.#ids.map(hashed)
      const own: string[] = []
      const others: string[] = []
      await forEachIndex(this.#items.length, this.#port.clock, (index) => {
        const item = this.#items[index] as Hashed
        const isOwn = ownerOf(item, members).name === this.#members.id
        if (isOwn !== this.#pursuit.has(item.name)) (isOwn ? own : others).push(item.name)
      })
      if (this.#closing) break
      // The drain of these keys must not delay the next change.
      void this.#pursuit.drop(others, 'moved')
      this.#pursuit.want(own, members.length > 1)
    }
    this.#reckoning = false
    this.#onChanged()
  }

  #onChanged(): void {
    if (!this.settled || this.#closing) {
      this.#settled = false
      return
    }
    if (this.#settled) return
    this.#settled = true
    this.announce('settled', undefined, () => ({ members: this.members, held: this.size }))
  }
}
