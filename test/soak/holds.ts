/**
 * The leases of one worker and what is written down of them. Promises that nothing is written as held that was not,
 * also when the process is stopped between any two steps of this (see history.ts).
 */
import type { Lease, LeaseManager } from 'leasewheel'
import { type Ending, HistoryFile } from './history.ts'
import { machineTime } from './machine-clock.ts'
import type { Lie } from './messages.ts'

/** How often all leases are looked at, in ms: for each hundred of them. */
const LOOK = 10
const LOOKED_AT = 100

export class Holds {
  readonly #file: HistoryFile
  readonly #lie: Lie | undefined
  /** Those that have not ended, with their numbers. */
  readonly #numbers = new Map<Lease, number>()
  readonly #timer: NodeJS.Timeout
  #begun = 0

  /** @param many about how many leases there are all the time: the more, the less often they are looked at. */
  constructor(manager: LeaseManager, path: string, lie: Lie | undefined, many = 0) {
    this.#file = new HistoryFile(path)
    this.#lie = lie
    manager.on('acquired', ({ lease }) => this.#begin(lease))
    manager.on('lost', ({ lease, reason }) => {
      if (lie !== 'overstay') this.#end(lease, `lost: ${reason}`)
    })
    manager.on('released', ({ lease, confirmed, detached }) => {
      this.#end(lease, detached ? 'detached' : confirmed ? 'released' : 'unconfirmed')
    })
    this.#timer = setInterval(() => this.#look(), LOOK * Math.max(1, many / LOOKED_AT))
  }

  /** Undefined for a lease that has ended, or was never seen to be held. */
  numberOf(lease: Lease): number | undefined {
    return this.#numbers.get(lease)
  }

  fenceOf(lease: Lease): number {
    return this.#lie === 'constant fence' ? 1 : lease.fence
  }

  /** @returns whether the lease is held; then that is written down. */
  prove(lease: Lease): boolean {
    const hold = this.#numbers.get(lease)
    if (hold === undefined) return false
    const at = machineTime()
    if (!this.#isHeld(lease)) return false
    this.#file.add({ type: 'held', holds: [hold], at })
    return true
  }

  /** The store has refused a write of this lease. It may do so, unless the lease is held even now. */
  onRefused(lease: Lease): void {
    const hold = this.#numbers.get(lease)
    const at = machineTime()
    if (hold !== undefined && this.#isHeld(lease)) this.#file.add({ type: 'refused', hold, at })
  }

  /** The work is done: nobody believes in the lease any longer, not even a liar. */
  onDone(lease: Lease): void {
    this.prove(lease)
    if (this.#lie === 'overstay' && lease.state === 'lost') this.#end(lease, 'lost: expired')
  }

  /** The lease was acquired by a call that began at that time. */
  onAsked(lease: Lease, at: number): void {
    const hold = this.#numbers.get(lease)
    if (hold !== undefined) this.#file.add({ type: 'asked', hold, at })
  }

  /** The lease of a writer is a reader's from now on: call it before `lease.downgrade()`, and write nothing afterwards. */
  onDowngrade(lease: Lease): void {
    this.#end(lease, 'downgraded')
    this.#begin(lease, 'read')
  }

  close(): void {
    clearInterval(this.#timer)
    this.#file.close()
  }

  /** @param mode default: that of the lease. */
  #begin(lease: Lease, mode = lease.mode): void {
    const at = machineTime()
    if (!this.#isHeld(lease)) return
    const { key, token, ttl } = lease
    const { permits = 0, weight = 1 } = lease.joint ?? {}
    const joint = mode && { joint: { mode, permits, weight } }
    this.#begun += 1
    this.#numbers.set(lease, this.#begun)
    this.#file.add({ type: 'begin', hold: this.#begun, key, token, fence: this.fenceOf(lease), ttl, at, ...joint })
  }

  #end(lease: Lease, ending: Ending): void {
    const hold = this.#numbers.get(lease)
    if (hold === undefined) return
    this.#numbers.delete(lease)
    this.#file.add({ type: 'end', hold, ending })
  }

  #look(): void {
    const at = machineTime()
    const holds = [...this.#numbers].filter(([lease]) => this.#isHeld(lease)).map(([, hold]) => hold)
    if (holds.length > 0) this.#file.add({ type: 'held', holds, at })
  }

  #isHeld(lease: Lease): boolean {
    return this.#lie === 'overstay' || lease.held
  }
}
