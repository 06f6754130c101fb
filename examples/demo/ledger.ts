/**
 * What the events of a manager say: how many of each kind there were, and the story of each lease as far as the demo
 * has expectations of it.
 */
import type { LeaseManager, LossReason } from 'leasewheel'

export type EventKind = 'acquired' | 'renewed' | 'jeopardy' | 'safe' | `lost: ${LossReason}` | 'released' | 'error'
type Ending = LossReason | 'released'

interface Story {
  /** Whether a renewal of it was ever confirmed. */
  renewed: boolean
  endangered: boolean
  ending: Ending | undefined
  /** Events after its end: there must be none. */
  surplus: number
}

export class Ledger {
  readonly #counts = new Map<EventKind, number>()
  readonly #changed = new Set<EventKind>()
  /** By key: no key of the demo is leased twice. */
  readonly #stories = new Map<string, Story>()
  /** What the last `error` said. */
  lastError: Error | undefined

  constructor(leases: LeaseManager) {
    leases.on('acquired', ({ lease }) => {
      this.#stories.set(lease.key, { renewed: false, endangered: false, ending: undefined, surplus: 0 })
      this.#count('acquired')
    })
    leases.on('renewed', ({ lease }) => {
      this.#story(lease.key).renewed = true
      this.#count('renewed')
    })
    leases.on('jeopardy', ({ lease }) => {
      this.#story(lease.key).endangered = true
      this.#count('jeopardy')
    })
    leases.on('safe', ({ lease }) => {
      Object.assign(this.#story(lease.key), { renewed: true, endangered: false })
      this.#count('safe')
    })
    leases.on('lost', ({ lease, reason }) => {
      this.#story(lease.key).ending = reason
      this.#count(`lost: ${reason}`)
    })
    leases.on('released', ({ lease }) => {
      this.#story(lease.key).ending = 'released'
      this.#count('released')
    })
    leases.on('error', (error) => {
      this.lastError = error
      this.#count('error')
    })
  }

  count(kind: EventKind): number {
    return this.#counts.get(kind) ?? 0
  }

  /** The kinds of which there are more than at the last call. */
  changes(): EventKind[] {
    const kinds = [...this.#changed]
    this.#changed.clear()
    return kinds
  }

  /** The keys of the leases that ended so. */
  keysOf(ending: Ending): string[] {
    return [...this.#stories].filter(([, story]) => story.ending === ending).map(([key]) => key)
  }

  /** How many leases have not ended and were never renewed. */
  get neverRenewed(): number {
    return this.#countStories((story) => story.ending === undefined && !story.renewed)
  }

  /** How many leases have not ended and were in jeopardy when last heard of. */
  get endangered(): number {
    return this.#countStories((story) => story.ending === undefined && story.endangered)
  }

  /** How many leases have not ended. */
  get open(): number {
    return this.#countStories((story) => story.ending === undefined)
  }

  /** Events that came for a lease after its end. */
  get surplus(): number {
    let surplus = 0
    for (const story of this.#stories.values()) surplus += story.surplus
    return surplus
  }

  #countStories(isMeant: (story: Story) => boolean): number {
    let number = 0
    for (const story of this.#stories.values()) if (isMeant(story)) number += 1
    return number
  }

  #story(key: string): Story {
    const story = this.#stories.get(key)
    if (story === undefined) throw new Error(`An event came for \`${key}\` before \`acquired\``)
    if (story.ending !== undefined) story.surplus += 1
    return story
  }

  #count(kind: EventKind): void {
    this.#counts.set(kind, this.count(kind) + 1)
    this.#changed.add(kind)
  }
}
