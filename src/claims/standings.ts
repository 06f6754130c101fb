/** The elections, claims and shares of a manager: makes them, tells them how their leases end, and ends them when the manager closes. */
import { ManagerClosedError, LockNotHeldError } from '../errors.ts'
import type { LeaseEvents } from '../lease/events.ts'
import type { Lease } from '../lease/lease.ts'
import type { Subscribers } from '../lease/lease-table.ts'
import type { MemberRoles } from '../member.ts'
import type { ManagerSettings } from '../options/settings.ts'
import { Claim } from './claim.ts'
import { Election } from './election.ts'
import {
  type ClaimOptions,
  type ElectionOptions,
  resolveClaim,
  resolveElection,
  resolveShare,
  type ShareOptions,
} from './options.ts'
import { Share } from './share.ts'
import type { Follower, Standing, StandingPort } from './standing.ts'

export class Standings {
  readonly #port: StandingPort
  readonly #defaults: ManagerSettings
  readonly #open = new Set<Standing>()
  readonly #followers = new Map<Lease, Follower>()

  constructor(port: Omit<StandingPort, 'follow' | 'unfollow' | 'onClosed'>, defaults: ManagerSettings) {
    this.#defaults = defaults
    this.#port = {
      ...port,
      follow: (lease, follower) => void this.#followers.set(lease, follower),
      unfollow: (lease) => void this.#followers.delete(lease),
      onClosed: (standing) => void this.#open.delete(standing),
    }
  }

  /** How many are open. */
  get size(): number {
    return this.#open.size
  }

  /** What others learn of them. */
  get roles(): MemberRoles {
    const open = [...this.#open]
    const elections = open.filter((standing) => standing instanceof Election)
    const shares = open.filter((standing) => standing instanceof Share)
    return {
      leads: elections.filter(({ isLeader }) => isLeader).map(({ key }) => key),
      shares: shares.map(({ group, size }) => ({ group, held: size })),
    }
  }

  elect(key: string, options: ElectionOptions): Election {
    return this.#add(new Election(this.#port, key, resolveElection(options, this.#defaults)))
  }

  claim(keys: readonly string[], options: ClaimOptions): Claim {
    return this.#add(new Claim(this.#port, keys, resolveClaim(options, this.#defaults)))
  }

  /** @throws TypeError if the members of a group cannot learn of each other. */
  share(items: readonly string[], options: ShareOptions): Share {
    const settings = resolveShare(options, this.#defaults)
    if (this.#port.hasGroups()) return this.#add(new Share(this.#port, items, settings))
    throw new TypeError(
      'Expected no `share` with this connection: it does not work on a quorum, nor on a backend without `catalogue`',
    )
  }

  /** The same subscribers, with these in front of them. */
  before<S extends Subscribers>(subscribers: S): S {
    return {
      ...subscribers,
      listenerCount: (event) => subscribers.listenerCount(event) + (this.#isAbout(event) ? 1 : 0),
      emit: (event, payload) => {
        if (this.#isAbout(event)) this.#onEvent(event, payload as LeaseEvents['lost' | 'released'][0])
        return subscribers.emit(event, payload)
      },
    }
  }

  /** Ends all. Resolves once none holds anything any more. */
  async close(): Promise<void> {
    const reason = new ManagerClosedError()
    await Promise.all([...this.#open].map((standing) => standing.onManagerClosing(reason)))
  }

  #add<S extends Standing>(standing: S): S {
    this.#open.add(standing)
    return standing
  }

  #isAbout(event: keyof LeaseEvents): boolean {
    return this.#followers.size > 0 && (event === 'lost' || event === 'released')
  }

  #onEvent(event: keyof LeaseEvents, payload: LeaseEvents['lost' | 'released'][0]): void {
    const { lease } = payload
    const follower = this.#followers.get(lease)
    if (follower === undefined) return
    this.#followers.delete(lease)
    if (event === 'lost' && 'reason' in payload) follower.onEnded(payload.reason, payload.error)
    else follower.onEnded('released', new LockNotHeldError(lease.key, lease.state))
  }
}
