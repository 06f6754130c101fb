/** What the tests of quorums share: members in memory on a clock that a test moves, and managers on them. */
import { type Backend, LeaseManager, type LeaseManagerOptions, type ServerIdentity } from 'leasewheel'
import { ManualClock, MemoryBackend, MemoryStore } from 'leasewheel/memory'
import { quorum, type QuorumOptions } from 'leasewheel/quorum'

export interface WorldOptions extends LeaseManagerOptions {
  readonly size?: number
  readonly quorum?: QuorumOptions
}

/** One manager, and its own connections to the members. */
export interface Party {
  readonly manager: LeaseManager
  readonly backend: Backend
  readonly members: readonly MemoryBackend[]
  readonly errors: string[]
}

export class World {
  readonly clock: ManualClock = new ManualClock()
  readonly stores: readonly MemoryStore[]
  readonly #parties: Party[] = []
  readonly #options: WorldOptions

  /** @param skews how far the clock of each member is ahead, in ms. */
  constructor(options: WorldOptions = {}, skews: readonly number[] = []) {
    this.#options = options
    const { size = 3 } = options
    this.stores = Array.from({ length: size }, (_, index) => {
      const skew = skews[index] ?? 0
      return new MemoryStore({ clock: { now: () => this.clock.now() + skew } })
    })
  }

  party(more: Partial<WorldOptions> = {}): Party {
    const { quorum: quorumOptions, size: _size, ...options } = { ...this.#options, ...more }
    const members = this.stores.map((store) => new MemoryBackend({ store }))
    const backend = quorum(members, quorumOptions)
    const manager = new LeaseManager(backend, { clock: this.clock, prefix: '', ...options })
    const errors: string[] = []
    manager.on('error', ({ message }) => errors.push(message))
    const party = { manager, backend, members, errors }
    this.#parties.push(party)
    return party
  }

  /** The tokens on a key, by member. */
  on(key: string): (string | undefined)[] {
    return this.stores.map((store) => store.get(key))
  }

  /** How many members have the key. */
  count(key: string): number {
    return this.on(key).filter((token) => token !== undefined).length
  }

  /** Moves the time until the call is over. */
  async finish<T>(call: Promise<T>, step = 1, most = 10_000): Promise<T> {
    let over = false
    const settle = (): void => {
      over = true
    }
    call.then(settle, settle)
    await this.clock.settle()
    for (let moved = 0; !over && moved < most; moved += step) await this.clock.advance(step)
    return call
  }

  async close(): Promise<void> {
    for (const { manager, members } of this.#parties) {
      for (const member of members) {
        member.fail(undefined)
        member.unblock()
      }
      await this.finish(manager.close({ timeout: 100 }))
    }
  }
}

/** Runs a test in a world of its own. */
export async function withWorld(
  options: WorldOptions,
  work: (world: World) => Promise<void>,
  skews: readonly number[] = [],
): Promise<void> {
  const world = new World(options, skews)
  try {
    await work(world)
  } finally {
    await world.close()
  }
}

/** A member that says which server it is. */
export class NamedBackend extends MemoryBackend {
  servers: readonly ServerIdentity[]
  readonly name: string

  constructor(name: string, store: MemoryStore, server: ServerIdentity) {
    super({ store })
    this.name = name
    this.servers = [server]
  }
}

export function caught(call: Promise<unknown>): Promise<Error> {
  return call.then(
    () => Promise.reject(new Error('Expected a rejection')),
    (error: Error) => error,
  )
}
